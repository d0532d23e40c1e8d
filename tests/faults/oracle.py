"""What became of every event that was sent, and whether each sink got just what it had to.

The content of an event is a function of its id. So whatever a sink holds can be judged by itself: an event that
nobody sent, or whose content was changed or swapped, shows.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any

SHOWN = 5


@dataclass(frozen=True)
class Content:
    """What the event of an id says."""

    name: str
    distinct_id: str
    session_id: str
    properties: dict[str, Any]

    @classmethod
    def of(cls, event_id: str, text_bytes: int = 0) -> "Content":
        """`text_bytes`: so much more text, in events of one run all alike."""
        drawn = Random(sha256(event_id.encode()).digest())
        return cls(
            name=f"load {drawn.randrange(7)}",
            distinct_id=f"user {drawn.randrange(200)}",
            session_id=f"session {drawn.randrange(1000)}",
            properties={
                "id": event_id,
                "exact": drawn.getrandbits(63),
                "half": drawn.randrange(1000) / 2,
                "text": "".join(drawn.choices('abc ü→"\\\n\u2028😀', k=drawn.choice([0, 9, 90, 900]))),
                "deep": {"list": [drawn.random() < 0.5, None, {"a.b": drawn.randrange(9)}]},
                **({"bulk": drawn.randbytes(text_bytes // 2).hex()} if text_bytes else {}),
            },
        )


@dataclass(frozen=True)
class Delivered:
    """An event as a sink has it."""

    content: Content
    event_id: str

    @property
    def sent_id(self) -> str:
        return str(self.content.properties.get("id"))

    @classmethod
    def of_json(cls, event: dict[str, Any]) -> "Delivered":
        """From the form that jsonl and webhook write."""
        content = Content(event["name"], event["distinctId"], event["sessionId"], event["properties"])
        return cls(content, event["eventId"])

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> "Delivered":
        """From a row of the store."""
        properties = json.loads(row["properties_raw"])
        return cls(Content(row["event"], row["distinct_id"], row["session_id"], properties), row["event_id"])


@dataclass
class Oracle:
    """Every id that was sent is in one of three sets in the end, and in `issued` from before it was sent.

    Acknowledged: an answer said so. Refused: an answer said so. Unknown: nobody learned, and gave up.
    """

    text_bytes: int = 0
    issued: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    # Answers that no fault explains.
    surprises: list[str] = field(default_factory=list)

    @property
    def unknown(self) -> set[str]:
        return self.issued - self.acknowledged - self.refused

    def content(self, event_id: str) -> Content:
        return Content.of(event_id, self.text_bytes)

    def missing(self, delivered: Iterable[Delivered]) -> set[str]:
        """Those that were acknowledged and are not there."""
        return self.acknowledged - {one.sent_id for one in delivered}

    def faults(self, sink: str, delivered: Iterable[Delivered]) -> list[str]:
        """What is wrong with all that a sink holds, in words; none: nothing."""
        held = list(delivered)
        times = Counter(one.sent_id for one in held)
        ids = Counter(one.event_id for one in held)
        wrong = {
            "acknowledged and not delivered": self.acknowledged - times.keys(),
            "never sent": times.keys() - self.issued,
            "refused and delivered": times.keys() & self.refused,
            "delivered more than once": {one for one, count in times.items() if count > 1},
            "an event id more than once": {one for one, count in ids.items() if count > 1},
            "another content than was sent": {one.sent_id for one in held if one.content != self.content(one.sent_id)},
        }
        found = [f"{sink}: {_named(which)}: {what}" for what, which in wrong.items() if which]
        return found + [f"at the door: {surprise}" for surprise in self.surprises[:SHOWN]]


def _named(ids: set[str]) -> str:
    some = sorted(ids)[:SHOWN]
    return f"{', '.join(some)}{f' and {len(ids) - SHOWN} more' if len(ids) > SHOWN else ''}"
