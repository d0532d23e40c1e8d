"""Writes the reference pages from the code they describe; with --check it fails where a page has drifted."""

import sys
import time
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from headgate_cli.main import app
from headgate_cli.settings import values as setting_values
from headgate_cli.settings.destination import To
from headgate_cli.settings.reader import ENVIRONMENT
from headgate_cli.settings.section import Section, section_of
from headgate_cli.settings.settings import Settings
from headgate_cli.settings.sinks import DEFAULT_SINKS, STORE_SINK
from headgate_gateway.metrics import Metrics as GatewayMetrics
from headgate_service.api.call_metrics import CallMetrics
from headgate_service.auth.trail import TrailMetrics
from headgate_service.counters.keeper import CounterMetrics
from headgate_service.delivery.metrics import DeliveryMetrics
from headgate_service.log.acknowledged import AcknowledgedMetrics
from headgate_service.log.client_memory import ClientMemoryMetrics
from headgate_service.policy.headgate_yaml import HeadgateYaml, compiled_schema, yaml_schema
from headgate_service.projects.store_watch import StoreWatchMetrics
from headgate_service.redis.readiness import RedisMetrics
from headgate_service.store.metrics import StoreMetrics
from headgate_sinks import Config
from headgate_sinks.sdk import host
from headgate_sinks.transport.http import HttpConfig
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

BUILT_IN_SINKS = (
    "clickhouse",
    "jsonl",
    "kafka",
    "mixpanel",
    "postgres",
    "posthog",
    "redis_stream",
    "s3",
    "segment",
    "store",
    "webhook",
)
UNITS = sorted(setting_values.SECONDS.items(), key=lambda unit: -unit[1])
FOLDER = Path(__file__).parent / "reference"
KINDS: list[tuple[Any, str]] = [
    (setting_values.RateSetting, 'rate, as `"1000/60s"`'),
    (setting_values.SecondsSetting, 'time, as `"24h"`'),
    (setting_values.AddressSetting, "HOST:PORT"),
    (setting_values.PathSetting, "path"),
    (ByteSize, 'bytes, as `"256MiB"`'),
    (bool, "`true` or `false`"),
    (int, "integer"),
    (str, "string"),
]


def kind(annotation: Any) -> str:
    """What a reader may write there."""
    if any(isinstance(mark, To) for mark in getattr(annotation, "__metadata__", ())):
        marks = tuple(mark for mark in annotation.__metadata__ if not isinstance(mark, To))
        annotation = typing.Annotated[annotation.__origin__, *marks] if marks else annotation.__origin__
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    for known, words in KINDS:
        if annotation == known:
            return words
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return " or ".join(f'`"{value}"`' for value in typing.get_args(annotation))
    return {tuple: "list of strings", dict: "table", typing.Annotated: "string"}[origin]


def default(field: FieldInfo) -> str:
    """A default as headgate.toml would write it."""
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ({}, (), ""):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, ByteSize):
        return f'`"{value.human_readable().replace(".0", "")}"`'
    if setting_values.parse_seconds in [getattr(mark, "func", None) for mark in field.metadata]:
        amount, unit = next((value // size, unit) for unit, size in UNITS if value % size == 0)
        return f'`"{amount}{unit}"`'
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{part}"' for part in value) + "]`"
    return f'`"{value}"`'


def table(title: str, model: type[Section]) -> list[str]:
    """One table of headgate.toml, then the tables inside it."""
    plain = {name: field for name, field in model.model_fields.items() if section_of(field.annotation) is None}
    hints = typing.get_type_hints(model, include_extras=True)
    lines = [f"## `{title}`", "", (model.__doc__ or "").strip(), ""]
    if plain:
        lines += ["| setting | value | default | meaning |", "|---|---|---|---|"]
        for name, field in plain.items():
            meaning = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{name}` | {kind(hints[name])} | {default(field)} | {meaning} |")
        lines.append("")
    for name, field in model.model_fields.items():
        if inner := section_of(field.annotation):
            lines += table(f"[{title.strip('[]')}.{name}]", inner)
    return lines


def settings_page() -> str:
    """docs/reference/settings.md."""
    lines = [
        "# headgate.toml",
        "",
        "*This page is written by `python docs/reference_pages.py` from the schema in `cli/headgate_cli/settings/`.*",
        "",
        "Every process reads one file: `--config FILE`, else `headgate.toml` in the folder it is started in; without"
        " one, the defaults hold. An unknown setting is refused by name. Flags come before the environment, the"
        " environment before the file.",
        "",
    ]
    for name, field in Settings.model_fields.items():
        inner = section_of(field.annotation)
        if inner is None:
            raise TypeError(f"{name} is not a table")
        repeated = typing.get_origin(field.annotation) is tuple
        if not repeated:
            lines += table(f"[{name}]", inner)
            continue
        lines += table(f"[[{name}]]", inner)
        if name != "sinks":
            continue
        defaults = (
            ", ".join(f"`{sink.name}`" for sink in DEFAULT_SINKS) + f", and `{STORE_SINK.name}` where there is a store"
        )
        lines += [f"On by default: {defaults}. A `[[{name}]]` of the same name replaces it, or ends it with", ""]
        lines += ["```toml", f"[[{name}]]", f'name = "{DEFAULT_SINKS[0].name}"', "enabled = false", "```", ""]
    lines += ["## Environment", "", "| variable | the same as |", "|---|---|"]
    lines += [f"| `{variable}` | `{section}.{setting}` |" for variable, (section, setting) in ENVIRONMENT.items()]
    return "\n".join(lines) + "\n"


def sinks_page() -> str:
    """docs/reference/sinks.md."""
    lines = [
        "# Settings of the built-in sinks",
        "",
        "*This page is written by `python docs/reference_pages.py` from the sinks themselves.*",
        "",
        "They go into `[sinks.config]`, below the `[[sinks]]` that names the sink.",
        "",
    ]
    for use, sink in sorted(host.load(BUILT_IN_SINKS).sinks.items()):
        lines += [f"## `{use}`", "", "| setting | default | meaning |", "|---|---|---|"]
        own_first = sorted(
            sink.Config.model_fields, key=lambda name: (name in Config.model_fields, name in HttpConfig.model_fields)
        )
        for name in own_first:
            field = sink.Config.model_fields[name]
            value = "required" if field.is_required() else plainly(field.get_default(call_default_factory=True))
            lines.append(f"| `{name}` | {value} | {field.description} |")
        limits = sink.spec.limits
        lines += [
            "",
            f"Without `max_...`, a batch holds at most {limits.events:,} events and {limits.bytes:,} bytes, and gathers"
            f" for {limits.age:g} s. Unless `when_full` says otherwise, it will `{sink.spec.when_full}`.",
            "",
        ]
    return "\n".join(lines)


def plainly(value: object) -> str:
    """A default in a table."""
    return "none" if value is None or value == {} else f"`{value}`"


def metrics_page() -> str:
    """docs/reference/metrics.md."""
    delivery = CollectorRegistry()
    DeliveryMetrics(delivery, time.time)
    service = CollectorRegistry()
    CallMetrics(service)
    CounterMetrics(service)
    ClientMemoryMetrics(service)
    StoreWatchMetrics(service)
    RedisMetrics(service)
    TrailMetrics(service)
    AcknowledgedMetrics(service)
    store = CollectorRegistry()
    StoreMetrics(store)
    lines = [
        "# Metrics",
        "",
        "*This page is written by `python docs/reference_pages.py` from where the metrics are declared.*",
        "",
    ]
    for title, registry in (
        ("The gateway, at `GET /metrics`", GatewayMetrics().registry),
        ("The service, at `service.metrics`", service),
        ("The forwarder, at `forwarder.metrics`", delivery),
        ("The store, at `GET /metrics` of its socket or address", store),
    ):
        lines += [f"## {title}", "", "| metric | kind | meaning |", "|---|---|---|"]
        for metric in registry.collect():
            suffix = "_total" if metric.type == "counter" else ""
            lines.append(f"| `{metric.name}{suffix}` | {metric.type} | {metric.documentation} |")
        lines.append("")
    return "\n".join(lines)


def command_page() -> str:
    """docs/reference/command-line.md."""
    lines = [
        "# The command line",
        "",
        "*This page is written by `python docs/reference_pages.py` from the commands themselves.*",
        "",
        "Commands exit with 0 when they did what was asked, 1 when they failed, and 2 when they were asked wrongly."
        " `headgate --install-completion` teaches your shell to complete them, `--show-completion` prints what it would"
        " install.",
        "",
    ]
    for name, command in commands("headgate", typer.main.get_command(app)):
        lines += [f"## `{name}`", "", command.help, ""]
        for parameter in command.params:
            if getattr(parameter, "hidden", False) or parameter.name == "help":
                continue
            named = "/".join(parameter.opts) if parameter.param_type_name == "option" else ""
            shown = f"{named} {parameter.metavar or ''}".strip()
            lines.append(f"- `{shown}`: {getattr(parameter, 'help', None) or ''}")
        lines.append("")
    return "\n".join(lines)


def commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its full name."""
    inner = getattr(command, "commands", {})
    if not inner or (command.invoke_without_command and command.params and name != "headgate"):
        yield name, command
    for part in sorted(inner):
        yield from commands(f"{name} {part}", inner[part])


def policy_page() -> str:
    """docs/reference/headgate-yaml.md."""
    lines = [
        "# headgate.yaml",
        "",
        "*This page is written by `python docs/reference_pages.py` from the model of the config itself.*",
        "",
        "What a project decides about its events, as [the guide](../guide/policy.md) tells. Its JSON Schema is",
        "[headgate.yaml.schema.json](headgate.yaml.schema.json); that of its compiled form, which",
        "`POST /api/deploy` takes, is [compiled.schema.json](compiled.schema.json).",
        "",
    ]
    lines += policy_table("headgate.yaml", HeadgateYaml)
    return "\n".join(lines) + "\n"


def policy_table(title: str, model: type[BaseModel]) -> list[str]:
    """The settings of one object of headgate.yaml, then those of the objects inside it."""
    lines = [f"## `{title}`", "", (model.__doc__ or "").strip(), "", "| setting | default | meaning |", "|---|---|---|"]
    inner: dict[type[BaseModel], list[str]] = {}
    for name, field in model.model_fields.items():
        called = field.alias or name
        nested = next(models_in(field.annotation), None)
        if nested is not None:
            inner.setdefault(nested, []).append(called)
        value = "required" if field.is_required() else written(field.get_default(call_default_factory=True))
        meaning = (field.description or (nested.__doc__ if nested else None) or "").strip()
        lines.append(f"| `{called}` | {value} | {meaning} |")
    lines.append("")
    for nested, names in inner.items():
        lines += policy_table("`, `".join(names), nested)
    return lines


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a setting's value is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from models_in(part)


def written(value: object) -> str:
    """A default as headgate.yaml would have it."""
    if value is None or value in ({}, ()) or isinstance(value, BaseModel):
        return "none"
    return f"`{str(value).lower()}`"


PAGES = {
    "headgate-yaml.md": policy_page,
    "headgate.yaml.schema.json": lambda: yaml_schema().decode(),
    "compiled.schema.json": lambda: compiled_schema().decode(),
    "settings.md": settings_page,
    "sinks.md": sinks_page,
    "metrics.md": metrics_page,
    "command-line.md": command_page,
}


def main(arguments: list[str]) -> int:
    """Write every page, or with --check only compare; the exit status."""
    drifted = []
    for name, page in PAGES.items():
        path = FOLDER / name
        text = page()
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            drifted.append(str(path))
    if drifted:
        sys.stderr.write(f"out of date: {', '.join(drifted)}: run `python docs/reference_pages.py`\n")
    return 1 if drifted else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
