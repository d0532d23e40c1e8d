"""What the peers take: one event, or a list of up to 100."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter


class Event(BaseModel):
    """An event of the API that the peers serve."""

    event: Annotated[str, Field(min_length=1, max_length=100)]
    timestamp: datetime
    distinctId: Annotated[str | None, Field(max_length=255)] = None  # noqa: N815 (the wire's name)
    sessionId: Annotated[str | None, Field(max_length=255)] = None  # noqa: N815
    properties: dict[str, Any] = {}


Events = Event | Annotated[list[Event], Field(min_length=1, max_length=100)]
EVENTS: TypeAdapter[Events] = TypeAdapter(Events)
