"""The log: where an event becomes durable, and the only place it is read from."""
