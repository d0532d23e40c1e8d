"""A table of headgate.toml in its schema."""

import types
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of headgate.toml. Unknown settings are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class Rate(Section):
    """A number of requests in a window."""

    requests: int = Field(gt=0)
    window_seconds: int = Field(gt=0)

    def __str__(self) -> str:
        return f"{self.requests}/{self.window_seconds}s"


def section_of(annotation: Any) -> type[Section] | None:
    """Find the table that a field's type stands for: itself, optional, or repeated."""
    if isinstance(annotation, type) and issubclass(annotation, Section) and annotation is not Rate:
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        return next(filter(None, map(section_of, get_args(annotation))), None)
    return None
