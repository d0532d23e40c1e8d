"""Projects and keys as every request needs them: a snapshot in memory of the control DB."""
