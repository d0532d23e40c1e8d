"""The control DB: organisations, projects, keys and what else must outlive Redis, in SQL."""
