"""The conformance kit of dialects: what holds for every ingestion API, whatever it looks like."""

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest
from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.conformance.fixture import check_fixture
from headgate_dialects.formats import strict_json
from headgate_dialects.host import built_in, check
from headgate_dialects.sdk.dialect import Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.rejection import Rejection

KEY = "pk_live_conformance"
_SET_BY_THE_SERVICE = frozenset({"project_id", "receive_time", "sample_weight", "dialect", "dialect_name"})
_RETRY = frozenset({outcome_pb2.CAUSE_UNSPECIFIED, outcome_pb2.CAUSE_RATE_LIMITED, outcome_pb2.CAUSE_UNAVAILABLE})
_STRANGE = (
    *(
        b"",
        b"null",
        b"1",
        b'"x"',
        b"[]",
        b"{}",
        b"[[]]",
        b"[null]",
        b"[1]",
        b"{",
        b"\xff",
        b"data=",
        b"data=%",
        b"[{}]",
    ),
    *(
        b'{"events":{}}',
        b'{"events":1}',
        b'{"batch":1}',
        b'{"events":[null,1,"x",[],{}]}',
        b'{"batch":[null,1,"x",[],{}]}',
        b'{"a":' * 2000,
    ),
)


class DialectConformance(ABC):
    """`dialect` is the one to test, `fixtures` a folder of requests with what they mean; see `check_fixture`. Where the
    folder has `sample.json`, `conformance_of` makes the class."""

    dialect: ClassVar[Dialect]
    fixtures: ClassVar[Path | None] = None
    bodies_are_json: ClassVar[bool] = True
    """Whether `inbound` sends the JSON text as the body, so that a torn one is not JSON."""

    @abstractmethod
    def event(self, event_id: str, value: Any) -> dict[str, Any]:
        """One valid event, as clients write it, with this id, where it has any, and a property `k` of this value."""

    @abstractmethod
    def envelope(self, *events: Any) -> Any:
        """The JSON value of a request with these events."""

    def inbound(self, body: bytes, key: str) -> Inbound:
        """A request with that JSON text and key. By default the key is in `envelope`, by the name of KEY."""
        return Inbound({"content-type": "application/json"}, body.replace(KEY.encode(), key.encode()), self._path())

    def test_it_can_be_registered(self) -> None:
        served = {dialect.api.name: dialect for dialect in built_in()}
        own = served.pop(self.dialect.api.name, None) is not None
        check(self.dialect, list(served.values()), own=own)

    def test_an_event_is_read(self) -> None:
        parsed = self._parse(self.event("id-1", "v"))
        (event,) = parsed.events
        assert event.name, "an event has a name"
        assert self._property(event) == "v", "a property keeps its value"
        assert event.event_id == ("id-1" if self.dialect.api.event_ids else "")
        assert parsed.credential == (KEY if self.dialect.api.key_kinds else "")
        assert event.distinct_id or not (event.user_id or event.anonymous_id or event.session_id)

    def test_it_is_read_the_same_each_time(self) -> None:
        body = self._body(self.event("id-1", [1, {"a": "ü"}]), self.event("id-2", None))
        first, second = (self.dialect.parse(self.inbound(body, KEY)) for _ in range(2))
        assert list(first.events) == list(second.events)
        assert first.request is not second.request

    def test_no_key_is_refused_first(self) -> None:
        if not self.dialect.api.key_kinds:
            pytest.skip("the API takes no credential")
        for body in (self._body(self.event("id-1", "v")), self._body(1, 2)):
            with pytest.raises(Unparsable) as raised:
                self.dialect.parse(self.inbound(body, ""))
            assert raised.value.cause is Rejection.CREDENTIAL_MISSING
            assert raised.value.credential == ""

    @pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b'"\xff"', b"01", b"[1,]", b"'x'"])
    def test_what_is_no_json_is_refused(self, value: bytes) -> None:
        if not self.bodies_are_json:
            pytest.skip("its bodies are not JSON alone")
        body = self._body(self.event("id-1", "@")).replace(b'"@"', value)
        with pytest.raises(Unparsable) as raised:
            self.dialect.parse(self.inbound(body, KEY))
        assert raised.value.cause in (Rejection.NOT_JSON, Rejection.CREDENTIAL_MISSING)

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            (b'"a\\ud83c"', "a\ufffd"),
            (b"1e400", None),
            (b"18446744073709551615", 18446744073709551615),
            (b'"a","k":"b"', "b"),
        ],
        ids=["lone-surrogate", "beyond-float64", "64-bits", "key-twice"],
    )
    def test_what_a_javascript_server_takes_is_taken(self, given: bytes, kept: Any) -> None:
        body = self._body(self.event("id-1", "@")).replace(b'"@"', given)
        (event,) = self.dialect.parse(self.inbound(body, KEY)).events
        assert self._property(event) == kept

    def test_a_byte_order_mark_is_skipped(self) -> None:
        body = b"\xef\xbb\xbf" + self._body(self.event("id-1", "v"))
        assert len(self.dialect.parse(self.inbound(body, KEY)).events) == 1

    def test_what_lies_too_deep_is_cut(self) -> None:
        value: Any = 1
        for _ in range(200):
            value = [value]
        (event,) = self._parse(self.event("id-1", value)).events
        assert b"$truncated" in event.properties_json

    @pytest.mark.parametrize("bad", ["x" * 40_000, ["x" * 30_000] * 3, "not-an-object"], ids=["string", "event", "no"])
    def test_a_bad_event_is_refused_and_in_the_books(self, bad: Any) -> None:
        event = 1 if bad == "not-an-object" else self.event("id-2", bad)
        good = [self.event("id-1", "v"), self.event("id-3", "v")]
        try:
            parsed = self._parse(good[0], event, good[1])
        except Unparsable as refused:
            # All or nothing, by this API's rules: then all of it is in the books.
            told = (refused.cause, refused.refused, [fault.index for fault in refused.faults])
            if told != (Rejection.INVALID, 3, [1]):
                raise AssertionError(f"not (INVALID, 3, [1]): {told}") from refused
            return
        if len(parsed.events) == 3:
            assert b"$truncated" in parsed.events[1].properties_json
            return
        assert (len(parsed.events), parsed.refused, list(parsed.places)) == (2, 1, [0, 2])

    def test_too_many_events_are_refused(self) -> None:
        with pytest.raises(Unparsable) as raised:
            self._parse(*[self.event("id", 1)] * 10_001)
        assert raised.value.cause in (Rejection.TOO_LARGE, Rejection.INVALID)
        assert raised.value.refused == 10_001

    def test_any_bytes_are_answered(self) -> None:
        for body in (*_STRANGE, *_mutations(self._body(self.event("id-1", "v"), self.event("id-2", {"a": [1, None]})))):
            try:
                parsed = self.dialect.parse(self.inbound(body, KEY))
            except Unparsable as unparsable:
                answer = self.dialect.rejected(unparsable)
                assert 400 <= answer.status < 500, "input never makes a 5xx"
            else:
                for event in parsed.events:
                    _check_event(event)
                answer = self.dialect.accepted(parsed, ingest_service_pb2.IngestEventsResponse())
                assert answer.status < 500
            _check_answer(self.dialect, answer.status, answer.body)

    @pytest.mark.parametrize("rejection", Rejection)
    def test_each_rejection_is_worded(self, rejection: Rejection) -> None:
        answer = self.dialect.rejected(Unparsable(rejection, [Fault(0, "field", "is wrong")], credential=KEY))
        assert 400 <= answer.status < 500
        _check_answer(self.dialect, answer.status, answer.body)

    @pytest.mark.parametrize("cause", outcome_pb2.Cause.values(), ids=outcome_pb2.Cause.keys())
    def test_each_cause_is_worded_and_retried_where_that_helps(self, cause: outcome_pb2.Cause) -> None:
        parsed = self._parse(self.event("id-1", "v"))
        fault = outcome_pb2.EventFault(index=0, field="k", message="is wrong")
        refusal = outcome_pb2.Refusal(cause=cause, message="as the test wishes", limit=10, used=10, faults=[fault])
        answer = self.dialect.refused(refusal, parsed)
        _check_answer(self.dialect, answer.status, answer.body)
        assert self.dialect.refused(refusal).status == answer.status, "the status does not need the request"
        if cause in _RETRY:
            assert answer.status == 429 or answer.status >= 500, "a client retries it"
        elif cause != outcome_pb2.CAUSE_QUOTA_EXCEEDED:
            assert 400 <= answer.status < 500, "no client retries it"
            assert answer.status not in (408, 429)

    def test_the_operation_is_openapi(self) -> None:
        validator = pytest.importorskip("openapi_spec_validator")
        operation = self.dialect.operation()
        validator.validate(
            {
                "openapi": "3.1.0",
                "info": {"title": "x", "version": "1"},
                "paths": {"/x": {"post": operation}},
                "components": self.dialect.components(),
            }
        )
        json.dumps(operation)

    def test_fixtures(self) -> None:
        if self.fixtures is None:
            pytest.skip("it has no fixtures")
        paths = sorted(path for path in self.fixtures.glob("*.json") if path.name != "sample.json")
        assert paths, f"no fixture in {self.fixtures}"
        for path in paths:
            check_fixture(self.dialect, path)

    def _path(self) -> str:
        return self.dialect.api.routes[0].path

    def _body(self, *events: Any) -> bytes:
        return json.dumps(self.envelope(*events), ensure_ascii=False, separators=(",", ":")).encode()

    def _parse(self, *events: Any) -> Parsed:
        return self.dialect.parse(self.inbound(self._body(*events), KEY))

    def _property(self, event: event_pb2.Event) -> Any:
        return json.loads(event.properties_json or b"{}").get("k")


def _check_event(event: event_pb2.Event) -> None:
    assert event.name
    event.FromString(event.SerializeToString())
    if event.properties_json:
        properties = orjson.loads(event.properties_json)
        assert isinstance(properties, dict)
        assert properties
        assert len(event.properties_json) < 2 * strict_json.MAX_EVENT_BYTES
    assert not _SET_BY_THE_SERVICE & {field.name for field, _ in event.ListFields()}


def _check_answer(dialect: Dialect, status: int, body: Any) -> None:
    responses = dialect.operation()["responses"]
    assert str(status) in responses, f"its OpenAPI operation has no answer {status}"
    if isinstance(body, bytes):
        return
    orjson.dumps(body)
    content: Mapping[str, Any] = responses[str(status)].get("content", {})
    schema = content.get("application/json", {}).get("schema")
    jsonschema = pytest.importorskip("jsonschema")
    if schema is not None:
        jsonschema.Draft202012Validator(schema | {"components": dialect.components()}).validate(body)


def _mutations(body: bytes) -> Iterator[bytes]:
    """The body with parts of it cut out, repeated or put for others: the same each time."""
    chance = random.Random(1)  # noqa: S311 - for variety, and no secret
    pieces = [b"null", b"1", b'"x"', b"[]", b"{}", b"true", b"-1e3", b'""', b'"\\ud800"']
    for _ in range(300):
        start = chance.randrange(len(body))
        end = min(len(body), start + chance.randrange(1, 20))
        yield body[:start] + chance.choice([b"", body[start:end] * 2, chance.choice(pieces)]) + body[end:]
