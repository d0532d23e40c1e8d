"""Redis: the connection, the names of keys, scripts and the durability that is required of it."""
