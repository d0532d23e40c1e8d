"""headgate.toml: its schema, its values, and where each setting goes."""
