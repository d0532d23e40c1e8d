"""What is wrong with a config, in words: pydantic's findings as JSON Pointers, with the names that were meant."""

import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from headgate_service.failure import Fault


def pointer(*steps: str | int) -> str:
    """The JSON Pointer of keys and places from the root."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """An ending for a message, such as `; did you mean "sample"?`, or nothing where no known name is near."""
    by_plain = {_plain(name): name for name in known}
    near = get_close_matches(_plain(given), by_plain, n=1, cutoff=0.6)
    return f'; did you mean "{by_plain[near[0]]}"?' if near else ""


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


_KINDS = {
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
    "missing": "is required",
    "finite_number": "must be a finite number",
}


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """The faults of a value that is no `model`, by their places."""
    return [_fault(detail, model) for detail in error.errors(include_url=False)]


def _fault(detail: Any, model: type[BaseModel]) -> Fault:
    kind, context = detail["type"], detail.get("ctx") or {}
    steps = [step for step in detail["loc"] if step != "[key]"]
    message = _KINDS.get(kind, "")
    if kind == "extra_forbidden":
        names = [field.alias or name for name, field in _model_at(model, steps[:-1]).model_fields.items()]
        message = "unknown setting" + (did_you_mean(str(steps[-1]), names) or f"; there are {', '.join(names)}")
    elif kind in ("enum", "literal_error"):
        message = f"must be {context['expected']}"
        if isinstance(detail["input"], str):
            message += did_you_mean(
                detail["input"], context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            )
    elif kind == "value_error":
        message = str(context["error"])
    elif kind in ("less_than_equal", "greater_than_equal"):
        message = "must be a number from 0 to 1"
    elif kind == "too_long":
        message = f"must have at most {context['max_length']} entries"
    elif kind == "too_short":
        least = context["min_length"]
        message = f"must have at least {least} {'entry' if least == 1 else 'entries'}"
    if isinstance(detail["input"], str) and kind == "value_error":
        message = f"{detail['input'][:100]!r} {message}"
    return Fault(pointer(*steps), message or detail["msg"].lower())


def _model_at(model: type[BaseModel], steps: Sequence[Any]) -> type[BaseModel]:
    """The model that the value at `steps` is read as."""
    at: Any = model
    for step in steps:
        if isinstance(at, type) and issubclass(at, BaseModel):
            field = next((f for name, f in at.model_fields.items() if step in (f.alias, name)), None)
            at = field.annotation if field is not None else at
            while not _is_model(at) and typing.get_origin(at) in (typing.Annotated, typing.Union, types.UnionType):
                at = typing.get_args(at)[0]
        else:
            at = next(_models_in(at), at)
    found = at if _is_model(at) else next(_models_in(at), model)
    return typing.cast("type[BaseModel]", found)


def _models_in(annotation: Any) -> Iterator[Any]:
    for part in typing.get_args(annotation):
        if _is_model(part):
            yield part
        else:
            yield from _models_in(part)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
