"""The `clickhouse` sink: a row per event, through ClickHouse's HTTP interface."""
