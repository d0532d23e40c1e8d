"""How a sink behaves in its process, and what it does to what it writes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from headgate_sinks.conformance.fault import (
    AnswerLost,
    KeepsContent,
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    Silent,
    TakesOnly,
    TakesSome,
    Unavailable,
)
from headgate_sinks.conformance.harness import Harness
from headgate_sinks.conformance.loop_watch import watched
from headgate_sinks.conformance.workbench import Workbench
from headgate_sinks.sdk.sink import Result

# Properties that are easily lost on the way.
UNICODE: list[dict[str, Any]] = [
    {"scripts": "Zürich Ελλάδα 東京 مرحبا שלום ไทย हिन्दी", "ключ": "значение"},
    {"planes": "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001d518\U0001d52b \U0001f1e8\U0001f1ed"},
    {"marks": "e\u0301 \u00e9 \u200d \ufeff \u202e \u2028 \u2029 \u0085 \ufffd \uffff"},
    {"controls": 'tab\t newline\n return\r quote" backslash\\ escape\x1b delete\x7f'},
    {"looks_like_syntax": "'; DROP TABLE events; -- ${x} %s {0} <b> &amp; \\N \\u0041 NULL"},
]
INTEGERS: list[dict[str, Any]] = [
    {"integers": [0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1]},
    {"numbers": [0.1, -1.5e-7, 1e300, 5e-324, True, False, None]},
]


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for level in range(levels):
        value = {"in": value} if level % 2 else [value]
    return value


# As deep as an event may be, less what holds it.
DEEP: list[dict[str, Any]] = [{"deep": _deep(30)}, {"empty": [{}, [], "", [[]], {"": {}}]}]
NUL = {"nul": "before\0after"}


_SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|credential", re.IGNORECASE)
_SHOWN = (
    Unavailable, RateLimited, NotAllowed, Refuses, Poison, TakesSome, TakesOnly, AnswerLost, Silent, KeepsContent,
)  # fmt: skip


class ConductCases(Harness):
    """What is not a matter of outcomes."""

    def test_every_case_that_is_left_out_says_why(self) -> None:
        for left_out, reason in self.cannot.items():
            assert left_out in _SHOWN, f"`cannot` names {left_out!r}, which is none of {_SHOWN}"
            assert len(reason) > 10, f"`cannot` gives no reason for {left_out.__name__}"

    def test_the_config_has_a_schema_and_hides_what_is_secret(self) -> None:
        model = self.sink.Config
        assert model.model_json_schema()["type"] == "object"
        for name, field in model.model_fields.items():
            assert field.description, f"`{name}` has no description, which the docs and the schema are made of"
            if _SECRET_NAME.search(name):
                assert field.annotation is not str, f"`{name}` looks like a secret: declare it as a SecretStr"

    def test_a_check_writes_nothing(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            before = list(await bench.target.received())
            with watched():
                await bench.new_life().check()
            assert list(await bench.target.received()) == before

        self._run(case, tmp_path)

    def test_the_event_loop_is_free_while_it_writes(self, tmp_path: Path) -> None:
        """Every call of every case is watched; here a full batch is written."""

        async def case(bench: Workbench) -> None:
            events = bench.events(min(self.sink.spec.limits.events, 500))
            assert await bench.write(bench.batch(events)) == Result()
            assert sum(await bench.counts(events)) == len(events)

        self._run(case, tmp_path)

    def test_secrets_are_shown_nowhere(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level("DEBUG")
        secrets: list[str] = []
        faults = [
            fault
            for fault in (Unavailable(), RateLimited(1.0), NotAllowed(), Refuses(), AnswerLost())
            if type(fault) not in self.cannot
        ]

        async def case(bench: Workbench) -> None:
            secrets.extend({*_secrets(bench.config), *map(bench.place.secret, _secrets(bench.config))})
            if not secrets:
                pytest.skip(f"the config of {self.sink.use!r} declares no SecretStr")
            bench.said += [repr(bench.config), str(bench.config), repr(bench.place)]
            for fault in (None, *faults):
                await bench.arm(fault)
                bench.new_life()
                await bench.write(bench.batch(bench.events(1)))
            await bench.arm(None)
            with pytest.raises(ValidationError) as refused:
                self.sink.Config.model_validate({**self.config(bench.target), "no_such_setting": secrets[0]})
            bench.said.append(str(refused.value))
            printed = capfd.readouterr()
            shown = "\n".join((*bench.said, caplog.text, printed.out, printed.err))
            for secret in secrets:
                assert secret not in shown, f"a secret is shown: {shown[max(shown.index(secret) - 200, 0) :][:300]}"

        self._run(case, tmp_path)

    @pytest.mark.parametrize("properties", UNICODE + INTEGERS + DEEP, ids=lambda one: "-".join(one)[:30])
    def test_content(self, tmp_path: Path, properties: dict[str, Any]) -> None:
        """Unicode, 64-bit integers and deep JSON arrive as they were."""

        async def case(bench: Workbench) -> None:
            text = json.dumps(properties, ensure_ascii=False).encode()
            event = bench.event(name="Käse 🧀 \u202eخبز", properties_json=text)
            assert await bench.write(bench.batch([event])) == Result()
            ((kept,),) = (await bench.held([event])).values()
            assert kept["name"] == event.name
            assert kept["properties"] == properties
            # 1 == 1.0 == True
            assert repr(kept["properties"]) == repr(properties)

        self._run(case, tmp_path, KeepsContent)

    def test_content_that_a_target_may_refuse(self, tmp_path: Path) -> None:
        """A NUL character is written or rejected, and harms no other event."""

        async def case(bench: Workbench) -> None:
            odd = bench.event(properties_json=json.dumps(NUL).encode())
            events = [*bench.events(2), odd, *bench.events(2)]
            delivered = await bench.deliver(bench.batch(events))
            assert set(delivered.rejected) <= {odd.event_id}
            assert await bench.counts(events) == [int(event.event_id in delivered.written) for event in events]

        self._run(case, tmp_path)

    @pytest.mark.parametrize("written", [True, False], ids=["after-a-write", "unused"])
    def test_close_is_idempotent(self, tmp_path: Path, written: bool) -> None:
        async def case(bench: Workbench) -> None:
            sink = bench.new_life()
            with watched():
                if written:
                    assert await bench.write(bench.batch(bench.events(1))) == Result()
                else:
                    await sink.open()
                await sink.close()
                await sink.close()

        self._run(case, tmp_path)


def _secrets(model: Any) -> list[str]:
    if isinstance(model, SecretStr):
        return [model.get_secret_value()]
    if isinstance(model, SecretBytes):
        return [model.get_secret_value().decode(errors="replace")]
    if isinstance(model, BaseModel):
        return [secret for name in type(model).model_fields for secret in _secrets(getattr(model, name))]
    if isinstance(model, Mapping):
        return [secret for value in model.values() for secret in _secrets(value)]
    if isinstance(model, list | tuple | set | frozenset):
        return [secret for value in model for secret in _secrets(value)]
    return []
