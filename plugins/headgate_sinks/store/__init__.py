"""The `store` sink: it feeds the store that queries are answered from, over ClickHouse's HTTP protocol."""
