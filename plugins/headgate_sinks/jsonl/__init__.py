"""The `jsonl` sink: one line of JSON per event, in files that sort by time."""
