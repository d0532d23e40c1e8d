"""The value that the name of a group stands for, and how answers show it."""

from typing import Any

from headgate_service.query.grouping import OTHER, number


def key_of(name: str) -> str | int | float | bool | None:
    """None for the events without the key."""
    if not name:
        return None
    kind, text = name[0], name[1:]
    if kind == "b":
        return text == "1"
    return number(text) if kind == "n" else text


def named(name: str | None) -> dict[str, Any]:
    """The first fields of a group's answer."""
    return {"key": "$other", "isOther": True} if name == OTHER else {"key": key_of(name or "")}
