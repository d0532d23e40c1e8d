"""The name that somebody probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """An ending for a message, such as `; did you mean "sample"?`, or nothing where no known name is near."""
    by_plain = {_plain(name): name for name in known}
    near = get_close_matches(_plain(given), by_plain, n=1, cutoff=0.6)
    return f'; did you mean "{by_plain[near[0]]}"?' if near else ""


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
