"""Usage counters: backed up from Redis to SQL, and restored where Redis was emptied."""
