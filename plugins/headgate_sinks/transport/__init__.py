"""How sinks reach their targets: HTTP with its outcomes, guarded addresses, ClickHouse over HTTP."""
