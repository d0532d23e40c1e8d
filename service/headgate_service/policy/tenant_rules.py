"""What the operator lets projects' own sinks do."""

from dataclasses import dataclass

HTTP_SINKS = frozenset({"webhook", "posthog", "mixpanel", "segment"})
"""Kinds that do nothing but post to a URL, behind the address guard."""


@dataclass(frozen=True, slots=True)
class TenantRules:
    """`kinds` are those that projects may use, of HTTP_SINKS; `allow_private` lets their sinks connect to private
    networks, loopback included. Raises ValueError."""

    kinds: frozenset[str] = frozenset({"webhook"})
    allow_private: bool = False

    def __post_init__(self) -> None:
        if unsafe := sorted(self.kinds - HTTP_SINKS):
            raise ValueError(
                f"{', '.join(unsafe)}: no sink that projects may be let use; these are {', '.join(sorted(HTTP_SINKS))}"
            )
