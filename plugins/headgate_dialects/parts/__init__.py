"""Parts of the larger built-in dialects."""
