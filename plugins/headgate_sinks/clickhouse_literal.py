"""Texts inside of ClickHouse's statements, where they cannot be parameters."""

_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0"})


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + text.translate(_ESCAPES) + "'"
