"""headgate.yaml: what people write, and how it becomes the compiled config."""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Annotated, Any

import orjson
import yaml
from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from headgate_service.errors import PolicyInvalid
from headgate_service.failure import Fault
from headgate_service.policy.compiled_config import (
    FORMAT_VERSION,
    MAX_NAMES,
    CompiledConfig,
    ConfigBody,
    EventName,
    EventRule,
)
from headgate_service.policy.config_faults import faults_of, pointer

Place = tuple[str | int, ...]


def with_named_secrets(sinks: Any, environment: Mapping[str, str], read_file: Callable[[str], str]) -> Any:
    """Sinks, as they are written, with `env:NAME` and `file:PATH` in their `secrets` replaced by what these name.
    Raises PolicyInvalid. `read_file` raises OSError."""
    faults: list[Fault] = []

    def read(given: Any, place: Place) -> Any:
        if isinstance(given, Mapping):
            return {name: read(one, (*place, name)) for name, one in given.items()}
        if isinstance(given, list):
            return [read(one, (*place, number)) for number, one in enumerate(given)]
        try:
            return _read(given, environment, read_file)
        except _Missing as error:
            faults.append(Fault(pointer(*place), str(error)))
            return given

    made = [
        {**sink, "secrets": read(sink["secrets"], ("sinks", number, "secrets"))}
        if isinstance(sink, Mapping) and "secrets" in sink
        else sink
        for number, sink in enumerate(sinks)
    ]
    if faults:
        raise PolicyInvalid(faults)
    return made


class _Missing(Exception):
    """A name that leads to nothing."""


def _read(given: Any, environment: Mapping[str, str], read_file: Callable[[str], str]) -> Any:
    scheme, colon, name = given.partition(":") if isinstance(given, str) else ("", "", "")
    if not colon or scheme not in ("env", "file"):
        return given
    if scheme == "env":
        if not environment.get(name):
            raise _Missing(f"the environment variable {name} is not set here")
        return environment[name]
    try:
        return read_file(name).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise _Missing(f"the file {name!r} cannot be read: {reason}") from None


MAX_BYTES = 1024 * 1024

ReadFile = Callable[[str], str]
"""Reads a file that is named in headgate.yaml, relative to it. Raises OSError."""


def _schema_or_file(value: Any) -> Any:
    if not isinstance(value, dict | bool | str):
        raise ValueError("must be a JSON Schema, or the name of a file that holds one")
    return value


class SourceRule(EventRule):
    """What becomes of events of one name, or of all that no name means."""

    json_schema: (
        Annotated[Any, BeforeValidator(_schema_or_file), WithJsonSchema({"type": ["object", "boolean", "string"]})]
        | None
    ) = Field(
        default=None,
        alias="schema",
        description="A JSON Schema (2020-12, 2019-09 or draft 7) of the event's properties, or the name of a JSON or"
        " YAML file with one, relative to this file.",
    )


class HeadgateYaml(ConfigBody):
    """The whole file; every setting may be absent."""

    events: Annotated[dict[EventName, SourceRule], Field(max_length=MAX_NAMES)] = Field(
        default_factory=dict,
        description="Rules by name, or by a pattern with `*`. A name's own entry comes first, then the longest.",
    )
    default: SourceRule = Field(default=SourceRule(), description="Events that none of `events` names.")


def compile_yaml(
    text: str,
    read_file: ReadFile,
    environment: Mapping[str, str] | None = None,
    read_secret: ReadFile | None = None,
) -> CompiledConfig:
    """The compiled config of a headgate.yaml. Raises PolicyInvalid.

    `environment` is where `env:` secrets of sinks are. `read_secret` reads `file:` secrets, by default as `read_file`.
    Only its form is checked here; `Policy.parse` checks what it means.
    """
    written = _load(text, "")
    if written is None:
        # Whoever means to take everything back can say so; a file that was cut short must not.
        raise PolicyInvalid([Fault("", "is empty: write `{}` for a config without a setting")])
    if not isinstance(written, dict):
        raise PolicyInvalid([Fault("", "must be a mapping of settings")])
    try:
        HeadgateYaml.model_validate(written)
    except ValidationError as error:
        raise PolicyInvalid(faults_of(error, HeadgateYaml)) from None
    compiled = dict(written) | {"formatVersion": FORMAT_VERSION}
    if "events" in written:
        compiled["events"] = {
            name: _with_schema(rule, read_file, ("events", name)) for name, rule in written["events"].items()
        }
    if "default" in written:
        compiled["default"] = _with_schema(written["default"], read_file, ("default",))
    if "sinks" in written:
        compiled["sinks"] = with_named_secrets(written["sinks"], environment or {}, read_secret or read_file)
    return CompiledConfig.read(compiled)


def _with_schema(rule: dict[str, Any], read_file: ReadFile, place: tuple[str, ...]) -> dict[str, Any]:
    named = rule.get("schema")
    if not isinstance(named, str):
        return rule
    path = pointer(*place, "schema")
    try:
        text = read_file(named)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise PolicyInvalid([Fault(path, f"the file {named!r} cannot be read: {reason}")]) from None
    schema = _load(text, path, quotes=False)
    if not isinstance(schema, dict | bool):
        raise PolicyInvalid([Fault(path, f"the file {named!r} must hold a JSON Schema: an object or a boolean")])
    return rule | {"schema": schema}


def _load(text: str, path: str, *, quotes: bool = True) -> Any:
    """`quotes`: faults may repeat words of the text, which is the config's own."""
    if len(text) > MAX_BYTES:
        raise PolicyInvalid([Fault(path, f"is over {MAX_BYTES} characters")])
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "see its keys and aliases"
        words = " ".join(str(error).split()) if quotes else place
        raise PolicyInvalid([Fault(path, f"is not valid YAML: {words}")]) from None
    except RecursionError:
        raise PolicyInvalid([Fault(path, "is nested too deep")]) from None


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML ships no types
    """YAML that means what JSON can say: no dates, no aliases (which can double a file at will), no key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.YAMLError(f"aliases are not taken, line {mark.line + 1}")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.YAMLError(f"the key {key!r} is not text: quote it, line {key_node.start_mark.line + 1}")
            if key in seen:
                raise yaml.YAMLError(f"the key {key!r} comes twice, line {key_node.start_mark.line + 1}")
            seen.add(key)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


# A date is a text here, as it is in JSON, and only true and false are booleans, as in YAML 1.2: an event may be
# named off.
_NOT_IN_JSON = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_IN_JSON]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def yaml_schema() -> bytes:
    """The published JSON Schema of headgate.yaml."""
    return _published(HeadgateYaml, "headgate.yaml", "What a project decided about its events.")


def compiled_schema() -> bytes:
    """The published JSON Schema of the compiled config."""
    return _published(CompiledConfig, "Compiled config", "What POST /api/deploy takes.")


class _Untitled(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _published(model: type[ConfigBody], title: str, description: str) -> bytes:
    schema = model.model_json_schema(by_alias=True, schema_generator=_Untitled)
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, "description": description}
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
