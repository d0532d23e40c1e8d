"""Pages from templates. Whatever a value holds comes out as text: templates escape everything."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from headgate_gateway.web.static_files import StaticFile

FOLDER = Path(__file__).parent / "templates"
NONE = "\N{EN DASH}"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


NAVIGATION = (
    ("overview", "", "Overview"),
    ("live", "live", "Live"),
    ("explore", "explore", "Explore"),
    ("sinks", "sinks", "Sinks"),
    ("policy", "policy", "Policy"),
    ("keys", "keys", "Keys and plan"),
    ("people", "people", "People"),
    ("audit", "audit", "Audit"),
    ("docs", "docs", "Docs"),
)
"""The pages of a project: their names, places and titles."""


class Templates:
    """Renders templates by their names; `files` are what /app/static serves."""

    def __init__(self, files: Mapping[str, StaticFile]) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {
            "number": number,
            "duration": duration,
            "percent": percent,
            "json": json_text,
            "utc": utc_text,
            "words": words,
            "zip_self": lambda values: [(value, value.replace("_", " ")) for value in values],
        }
        self._environment.globals["navigation"] = NAVIGATION
        self._environment.globals["static"] = lambda name: f"/app/static/{name}?v={files[name].tag}"

    def compile(self, template: str) -> None:
        """Raises what is wrong with a template."""
        self._environment.get_template(template)

    def render(self, template: str, values: Mapping[str, Any]) -> bytes:
        """A page."""
        return self._environment.get_template(template).render(values).encode()


def number(value: float | None) -> str:
    """With commas between thousands; at most two digits of a fraction."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """The largest unit that fits, and the next where there is some of it: 2 h 5 min."""
    left = round(seconds)
    parts: list[str] = []
    for length, unit in _UNITS:
        if left >= length and len(parts) < 2:
            parts.append(f"{left // length} {unit}")
            left %= length
        elif parts:
            break
    return " ".join(parts) or "0 s"


def percent(share: float | None) -> str:
    """Of one: 0.5 is 50 %."""
    return NONE if share is None else f"{share * 100:.1f}".removesuffix(".0") + " %"


def json_text(value: Any) -> str:
    """Indented JSON, for people and for scripts."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def utc_text(moment: str) -> str:
    """An RFC 3339 time, in UTC for people."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return moment


def words(code: str) -> str:
    """A code such as DIALECT_PROMPTING_COMPANY or rate_limited as words."""
    return code.removeprefix("DIALECT_").replace("_", " ").lower()
