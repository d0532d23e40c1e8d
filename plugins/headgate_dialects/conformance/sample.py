"""A dialect's part in the kit, written as data."""

import json
from pathlib import Path
from typing import Any

from headgate_dialects.conformance.dialect_conformance import KEY, DialectConformance
from headgate_dialects.sdk.dialect import Dialect, Inbound


def conformance_of(tested: Dialect, folder: Path) -> type[DialectConformance]:
    """A test class of a dialect whose folder of fixtures has `sample.json`.

    It holds `event`, in which "$ID" and "$VALUE" stand for the event's id and the property `k`; `body`, in which
    "$EVENTS" stands for the events; and the `headers`, `query` and `path` of the request. "$KEY" stands for the key.
    """
    sample = json.loads((folder / "sample.json").read_text(encoding="utf-8"))

    class Sampled(DialectConformance):
        dialect = tested
        fixtures = folder

        def event(self, event_id: str, value: Any) -> dict[str, Any]:
            filled: dict[str, Any] = _filled(sample["event"], {"$ID": event_id, "$VALUE": value, "$KEY": KEY})
            return filled

        def envelope(self, *events: Any) -> Any:
            return _filled(sample["body"], {"$EVENTS": list(events), "$KEY": KEY})

        def inbound(self, body: bytes, key: str) -> Inbound:
            headers = {"content-type": "application/json"} | _filled(sample.get("headers", {}), {"$KEY": key})
            path = sample.get("path", tested.api.routes[0].path)
            return Inbound(headers, body.replace(KEY.encode(), key.encode()), path, query=sample.get("query", ""))

    return Sampled


def _filled(template: Any, values: dict[str, Any]) -> Any:
    if isinstance(template, dict):
        return {name: _filled(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, values) for value in template]
    return values.get(template, template) if isinstance(template, str) else template
