"""Ids: what a thing is, and 100 random bits."""

from headgate_service.model.key import RandomBytes, random_text

_CHARACTERS = 20


def make_id(prefix: str, random: RandomBytes) -> str:
    """An id such as `prj_...`."""
    return f"{prefix}_{random_text(_CHARACTERS, random)}"
