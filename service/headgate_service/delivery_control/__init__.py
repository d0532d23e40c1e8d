"""What an operator sees of delivery, and does to it: through Redis, whether a forwarder runs or not."""
