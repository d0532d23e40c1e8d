"""What people see of delivery and do to it, through Redis, whether a forwarder runs or not."""
