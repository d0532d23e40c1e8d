"""IngestService as an internal caller and a gateway meet it, over a real connection."""

import asyncio

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import event_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import (
    GatheredRequest,
    IngestEventsRequest,
    IngestGatheredRequest,
    StreamEventsRequest,
)
from headgate.v1.log_pb2 import LogEntry
from headgate.v1.project_service_pb2 import CreateKeyRequest, RevokeKeyRequest
from headgate_dialects.builtin.codcompass import Codcompass
from headgate_dialects.builtin.prompting_company import PromptingCompany
from headgate_dialects.builtin.realanalytics import RealAnalytics
from headgate_dialects.builtin.xaiku import Xaiku
from headgate_service.log.reader import read_entries
from headgate_service.model.route import Route
from headgate_service.model.sink import SinkSpec
from headgate_service.redis.keys import shard_keys

ACCEPTED, DUPLICATE, REFUSED = outcome_pb2.OUTCOME_ACCEPTED, outcome_pb2.OUTCOME_DUPLICATE, outcome_pb2.OUTCOME_REFUSED
GATEWAY = [("headgate-gateway-token", "gateway-token-of-the-tests")]


def events(*names: str) -> list[event_pb2.Event]:
    return [event_pb2.Event(name=name, distinct_id="u") for name in names]


async def stored(redis, project_id: str) -> list[event_pb2.Event]:
    for shard in range(64):
        entries = await read_entries(redis, shard_keys(shard).project(project_id), "0-0", 1000)
        if entries:
            return [event for entry in entries for event in entry.events()]
    return []


async def refusal(call) -> tuple[grpc.StatusCode, error_details_pb2.ErrorInfo, dict]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    status = rpc_status.from_call(error)
    assert status is not None
    details = {detail.TypeName().rpartition(".")[2]: detail for detail in status.details}
    info = error_details_pb2.ErrorInfo()
    details["ErrorInfo"].Unpack(info)
    return error.code(), info, details


async def gathered(service, *requests: GatheredRequest):
    answer = await service.ingest.IngestGathered(IngestGatheredRequest(requests=requests), metadata=GATEWAY)
    return list(answer.answers)


async def test_the_smallest_request_in_json_is_stored(service, redis):
    request = json_format.ParseDict({"events": [{"name": "x", "distinctId": "u"}]}, IngestEventsRequest())
    response = await service.ingest.IngestEvents(request, metadata=service.bearer())
    (result,) = response.results
    (event,) = await stored(redis, service.project_id)
    assert (result.outcome, result.event_id) == (ACCEPTED, event.event_id)
    assert result.receive_time == event.receive_time == event.occur_time
    assert (event.name, event.distinct_id, event.dialect) == ("x", "u", event_pb2.DIALECT_GRPC)
    assert (event.project_id, event.sample_weight) == (service.project_id, 1)
    assert response.receipt.startswith("rcpt_")


async def test_what_the_service_sets_is_not_believed_of_a_caller(service, redis):
    event = event_pb2.Event(name="x", project_id="prj_other", dialect=event_pb2.DIALECT_XAIKU, sample_weight=9)
    event.dialect_name = "acme"
    event.receive_time.FromSeconds(1)
    await service.ingest.IngestEvents(IngestEventsRequest(events=[event]), metadata=service.bearer())
    (kept,) = await stored(redis, service.project_id)
    assert (kept.project_id, kept.dialect, kept.sample_weight) == (service.project_id, event_pb2.DIALECT_GRPC, 1)
    assert not kept.dialect_name
    assert kept.receive_time.seconds > 1


async def test_a_struct_becomes_json_once(service, redis):
    request = json_format.ParseDict(
        {"events": [{"name": "x", "userId": "u", "properties": {"plan": "pro", "n": 3, "deep": {"a": [True, None]}}}]},
        IngestEventsRequest(),
    )
    await service.ingest.IngestEvents(request, metadata=service.bearer())
    (event,) = await stored(redis, service.project_id)
    assert event.properties_json == b'{"plan":"pro","n":3.0,"deep":{"a":[true,null]}}' or json_format.json.loads(
        event.properties_json
    ) == {"plan": "pro", "n": 3, "deep": {"a": [True, None]}}
    assert not event.HasField("properties")
    assert event.distinct_id == "u"


async def test_integers_of_64_bits_stay_exact_in_properties_json(service, redis):
    event = event_pb2.Event(name="x", properties_json=b'{"n": 9223372036854775807}')
    await service.ingest.IngestEvents(IngestEventsRequest(events=[event]), metadata=service.bearer())
    (kept,) = await stored(redis, service.project_id)
    assert kept.properties_json == b'{"n":9223372036854775807}'


async def test_unacceptable_events_are_named_and_the_others_stored(service, redis):
    request = IngestEventsRequest(
        events=[
            event_pb2.Event(name="good"),
            event_pb2.Event(),
            event_pb2.Event(name="x", properties_json=b"[1]"),
            event_pb2.Event(name="x", properties_json=b'{"s":"' + b"a" * 70_000 + b'"}'),
            event_pb2.Event(name="also good"),
        ]
    )
    response = await service.ingest.IngestEvents(request, metadata=service.bearer())
    assert [r.outcome for r in response.results] == [ACCEPTED, REFUSED, REFUSED, REFUSED, ACCEPTED]
    assert [r.index for r in response.results] == [0, 1, 2, 3, 4]
    assert response.results[1].field == "name"
    assert response.results[3].reason == outcome_pb2.REASON_TOO_LARGE
    assert [e.name for e in await stored(redis, service.project_id)] == ["good", "also good"]


async def test_all_or_nothing_refuses_the_whole_and_names_every_fault(service, redis):
    request = IngestEventsRequest(events=[*events("a"), event_pb2.Event(), event_pb2.Event()], all_or_nothing=True)
    code, info, details = await refusal(service.ingest.IngestEvents(request, metadata=service.bearer()))
    bad = error_details_pb2.BadRequest()
    details["BadRequest"].Unpack(bad)
    assert (code, info.reason, info.domain) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID", "headgate")
    assert [violation.field for violation in bad.field_violations] == ["events[1].name", "events[2].name"]
    assert "faults_left_out" not in info.metadata
    assert await stored(redis, service.project_id) == []


async def test_a_refusal_says_how_many_faults_it_does_not_name(service):
    request = IngestEventsRequest(events=[event_pb2.Event()] * 250, all_or_nothing=True)
    _, info, details = await refusal(service.ingest.IngestEvents(request, metadata=service.bearer()))
    bad = error_details_pb2.BadRequest()
    details["BadRequest"].Unpack(bad)
    *named, rest = bad.field_violations
    assert [violation.field for violation in named] == [f"events[{index}].name" for index in range(len(named))]
    left_out = 250 - len(named)
    assert (rest.field, rest.description) == ("", f"and {left_out} more, which are not named")
    assert info.metadata["faults_left_out"] == str(left_out)

    (answer,) = [
        one
        async for one in service.ingest.StreamEvents(
            iter([StreamEventsRequest(request=request)]), metadata=service.bearer()
        )
    ]
    assert (len(answer.refusal.faults), answer.refusal.faults_left_out) == (100, 150)


@pytest.mark.parametrize(
    ("metadata", "code", "reason"),
    [
        ([], grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"),
        ([("authorization", "Bearer sk_live_nonsense")], grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"),
        ([("authorization", "Basic x")], grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"),
    ],
)
async def test_without_a_good_key_nobody_enters(service, metadata, code, reason):
    for request in (IngestEventsRequest(events=events("a")), IngestEventsRequest()):
        found, info, _ = await refusal(service.ingest.IngestEvents(request, metadata=metadata))
        assert (found, info.reason) == (code, reason)


@pytest.mark.parametrize("kind", ["public", "test"])
async def test_public_keys_do_not_open_grpc(service, kind):
    call = service.ingest.IngestEvents(IngestEventsRequest(events=events("a")), metadata=service.bearer(kind))
    code, info, _ = await refusal(call)
    assert (code, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CREDENTIAL_KIND")


async def test_an_organisation_key_writes_by_scope_into_the_project_it_names(service, redis):
    other = await service.admin.CreateProject(admin.CreateProjectRequest(name="Other", organisation="default"))
    wanted = CreateKeyRequest(project="default", kind=admin.KEY_KIND_ORGANISATION, scopes=["events:write"])
    bound = await service.projects.CreateKey(wanted)
    wanted.all_projects = True
    writer = await service.projects.CreateKey(wanted)
    reader = await service.projects.CreateKey(
        CreateKeyRequest(project="default", kind=admin.KEY_KIND_ORGANISATION, scopes=["logs:read"])
    )
    request = IngestEventsRequest(events=events("a"))
    metadata = [("authorization", f"Bearer {writer.key.key}"), ("x-headgate-project", "other")]
    await service.ingest.IngestEvents(request, metadata=metadata)
    assert [event.name for event in await stored(redis, other.project.id)] == ["a"]
    metadata = [("authorization", f"Bearer {bound.key.key}"), ("x-headgate-project", "other")]
    code, info, _ = await refusal(service.ingest.IngestEvents(request, metadata=metadata))
    assert (code, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PROJECT_FORBIDDEN")
    metadata = [("authorization", f"Bearer {reader.key.key}")]
    code, info, _ = await refusal(service.ingest.IngestEvents(request, metadata=metadata))
    assert (code, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    metadata = [("authorization", f"Bearer {writer.key.key}"), ("x-headgate-project", "nowhere")]
    code, info, _ = await refusal(service.ingest.IngestEvents(request, metadata=metadata))
    assert (code, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PROJECT_FORBIDDEN")


async def test_a_secret_key_writes_into_no_project_but_its_own(service, redis):
    other = await service.admin.CreateProject(admin.CreateProjectRequest(name="Other", organisation="default"))
    request = IngestEventsRequest(events=events("a"))
    for named in (other.project.id, "other", "nowhere"):
        metadata = [*service.bearer(), ("x-headgate-project", named)]
        code, info, _ = await refusal(service.ingest.IngestEvents(request, metadata=metadata))
        assert (code, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PROJECT_FORBIDDEN")
    for named in (service.project_id, "default"):
        metadata = [*service.bearer(), ("x-headgate-project", named)]
        await service.ingest.IngestEvents(request, metadata=metadata)
    assert len(await stored(redis, service.project_id)) == 2
    assert await stored(redis, other.project.id) == []


async def test_a_time_of_zero_is_warned_of_and_absent(service, redis):
    sent = events("empty", "first", "real", "bad")
    sent[0].occur_time.SetInParent()
    sent[0].client_time.SetInParent()
    sent[1].occur_time.FromJsonString("0001-01-01T00:00:00Z")
    sent[2].occur_time.FromJsonString("2026-02-03T04:05:06Z")
    sent[3].occur_time.SetInParent()
    sent[3].name = ""
    response = await service.ingest.IngestEvents(IngestEventsRequest(events=sent), metadata=service.bearer())
    assert [[one.partition(":")[0] for one in result.warnings] for result in response.results] == [
        ["occur_time", "client_time"],
        ["occur_time"],
        [],
        [],
    ]
    assert response.warned == 2
    kept = {event.name: event for event in await stored(redis, service.project_id)}
    assert kept["empty"].occur_time == kept["empty"].receive_time
    assert not kept["empty"].HasField("client_time")
    assert kept["first"].occur_time == kept["first"].receive_time
    assert kept["real"].occur_time.ToJsonString() == "2026-02-03T04:05:06Z"


async def test_a_revoked_key_opens_nothing_within_five_seconds(service):
    made = await service.projects.CreateKey(CreateKeyRequest(project="default", kind=admin.KEY_KIND_SECRET))
    metadata = [("authorization", f"Bearer {made.key.key}")]
    request = IngestEventsRequest(events=events("a"))
    await service.ingest.IngestEvents(request, metadata=metadata)
    await service.projects.RevokeKey(RevokeKeyRequest(id=made.key.id))

    async def code() -> grpc.StatusCode:
        call = service.ingest.IngestEvents(request, metadata=metadata)
        return await call.code()

    async with asyncio.timeout(5):
        while await code() == grpc.StatusCode.OK:
            await asyncio.sleep(0.1)
    assert await code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_retry_with_the_key_gets_the_same_answer(service, redis):
    request = IngestEventsRequest(events=events("a", "b"), idempotency_key="k-1")
    first = await service.ingest.IngestEvents(request, metadata=service.bearer())
    again = await service.ingest.IngestEvents(request, metadata=service.bearer())
    assert again.replayed
    assert not first.replayed
    assert (again.results, again.receipt, again.receive_time) == (first.results, first.receipt, first.receive_time)
    assert len(await stored(redis, service.project_id)) == 2
    other = IngestEventsRequest(events=events("a"), idempotency_key="k-1")
    code, info, _ = await refusal(service.ingest.IngestEvents(other, metadata=service.bearer()))
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "IDEMPOTENCY_MISMATCH")


async def test_a_repeated_event_id_is_a_duplicate_with_the_first_time(service, redis):
    event = event_pb2.Event(name="a", event_id="id-1")
    first = await service.ingest.IngestEvents(IngestEventsRequest(events=[event]), metadata=service.bearer())
    again = await service.ingest.IngestEvents(
        IngestEventsRequest(events=[event, *events("b")]), metadata=service.bearer()
    )
    assert [r.outcome for r in again.results] == [DUPLICATE, ACCEPTED]
    assert again.results[0].receive_time == first.results[0].receive_time
    assert [e.name for e in await stored(redis, service.project_id)] == ["a", "b"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (IngestEventsRequest(), "INVALID"),
        (IngestEventsRequest(events=events(*["a"] * 1001)), "TOO_LARGE"),
        (
            IngestEventsRequest(events=[event_pb2.Event(name="a", user_id="u" * 30_000)] * 150),
            "TOO_LARGE",
        ),
        (IngestEventsRequest(events=events("a"), idempotency_key="white space"), "INVALID"),
        (IngestEventsRequest(events=events("a"), idempotency_key="k" * 256), "INVALID"),
    ],
    ids=["no event", "1001 events", "over 4 MiB", "key with space", "long key"],
)
async def test_a_request_that_does_not_fit_is_an_invalid_argument(service, request_, reason):
    code, info, _ = await refusal(service.ingest.IngestEvents(request_, metadata=service.bearer()))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_over_the_months_limit_is_resource_exhausted_with_the_time_to_wait(service):
    made = await service.admin.CreateProject(admin.CreateProjectRequest(name="Small", monthly_limit=2))
    metadata = [("authorization", f"Bearer {next(k.key for k in made.keys if k.kind == admin.KEY_KIND_SECRET)}")]
    call = service.ingest.IngestEvents(IngestEventsRequest(events=events("a", "b", "c")), metadata=metadata)
    code, info, details = await refusal(call)
    retry = error_details_pb2.RetryInfo()
    details["RetryInfo"].Unpack(retry)
    assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    assert dict(info.metadata) == {"limit": "2", "used": "0"}
    assert 0 < retry.retry_delay.seconds <= 31 * 86400
    assert "QuotaFailure" in details
    response = await service.ingest.IngestEvents(IngestEventsRequest(events=events("a", "b")), metadata=metadata)
    assert (response.limits.month.limit, response.limits.month.used) == (2, 2)


async def test_a_stream_answers_each_message_and_goes_on_after_a_refusal(service, redis):
    async def messages():
        yield StreamEventsRequest(request=IngestEventsRequest(events=events("a")))
        yield StreamEventsRequest(request=IngestEventsRequest())
        yield StreamEventsRequest(request=IngestEventsRequest(events=events("b")))

    answers = [answer async for answer in service.ingest.StreamEvents(messages(), metadata=service.bearer())]
    assert [answer.WhichOneof("answer") for answer in answers] == ["response", "refusal", "response"]
    assert answers[1].refusal.cause == outcome_pb2.CAUSE_INVALID
    assert [e.name for e in await stored(redis, service.project_id)] == ["a", "b"]


async def test_a_stream_has_many_messages_under_way_and_answers_them_in_order(service, redis):
    async def messages():
        for number in range(200):
            # Those with an error are answered at once, the others when Redis has confirmed them.
            one = events(str(number)) if number % 3 else []
            yield StreamEventsRequest(request=IngestEventsRequest(events=one, idempotency_key=f"k{number}"))

    answers = [answer async for answer in service.ingest.StreamEvents(messages(), metadata=service.bearer())]
    assert [answer.WhichOneof("answer") == "response" for answer in answers] == [n % 3 > 0 for n in range(200)]
    assert [event.name for event in await stored(redis, service.project_id)] == [str(n) for n in range(200) if n % 3]


async def test_a_stream_ends_when_its_key_is_revoked_even_if_it_is_quiet(service, monkeypatch):
    monkeypatch.setattr("headgate_service.api.ingest.CHECK_SECONDS", 0.1)
    made = await service.projects.CreateKey(CreateKeyRequest(project="default", kind=admin.KEY_KIND_SECRET))
    stream = service.ingest.StreamEvents(metadata=[("authorization", f"Bearer {made.key.key}")])
    await stream.write(StreamEventsRequest(request=IngestEventsRequest(events=events("a"))))
    assert (await stream.read()).HasField("response")
    await service.projects.RevokeKey(RevokeKeyRequest(id=made.key.id))
    async with asyncio.timeout(20):
        code, info, _ = await refusal(stream.read())
    assert (code, info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")


async def test_a_refusal_in_a_stream_names_the_fields_at_fault(service):
    messages = [
        IngestEventsRequest(),
        IngestEventsRequest(events=events("a"), idempotency_key="white space"),
        IngestEventsRequest(events=[*events("a"), event_pb2.Event()], all_or_nothing=True),
    ]
    stream = service.ingest.StreamEvents(
        iter([StreamEventsRequest(request=message) for message in messages]), metadata=service.bearer()
    )
    refusals = [answer.refusal async for answer in stream]
    named = [
        [(fault.index if fault.HasField("index") else None, fault.field) for fault in one.faults] for one in refusals
    ]
    assert named == [[(None, "events")], [(None, "idempotency_key")], [(1, "name")]]
    assert all(fault.message for one in refusals for fault in one.faults)


async def test_a_dry_run_stores_nothing(service, redis):
    request = IngestEventsRequest(events=events("a"), dry_run=True, idempotency_key="k")
    response = await service.ingest.IngestEvents(request, metadata=service.bearer())
    assert response.results[0].outcome == ACCEPTED
    assert not response.receipt
    assert not response.HasField("receive_time")
    assert await stored(redis, service.project_id) == []


async def test_gathered_requests_get_their_own_answers_in_order(service, redis):
    answers = await gathered(
        service,
        GatheredRequest(
            access=RealAnalytics.api.access,
            credential=service.keys["public"],
            entry=LogEntry(events=events("a")),
        ),
        GatheredRequest(access=RealAnalytics.api.access, credential="pk_live_no", entry=LogEntry(events=events("b"))),
        GatheredRequest(
            access=RealAnalytics.api.access,
            credential=service.keys["secret"],
            entry=LogEntry(events=events("c")),
        ),
        GatheredRequest(access=Xaiku.api.access, credential=service.keys["test"], entry=LogEntry(events=events("d"))),
        GatheredRequest(access=Codcompass.api.access, entry=LogEntry(events=events("e"))),
    )
    assert [a.WhichOneof("answer") for a in answers] == ["response", "refusal", "refusal", "response", "response"]
    assert answers[1].refusal.cause == outcome_pb2.CAUSE_CREDENTIAL_INVALID
    assert answers[2].refusal.cause == outcome_pb2.CAUSE_CREDENTIAL_KIND
    kept = {event.name: event for event in await stored(redis, service.project_id)}
    assert sorted(kept) == ["a", "d", "e"]
    assert kept["d"].test
    assert not kept["a"].test
    assert (answers[0].response.limits.rate.limit, answers[0].response.limits.rate.used) == (1000, 1)
    assert not answers[4].response.HasField("limits")


@pytest.mark.parametrize(
    ("access", "key", "refused"),
    [
        ({"name": "acme", "key_kinds": [admin.KEY_KIND_PUBLIC]}, "public", outcome_pb2.CAUSE_UNSPECIFIED),
        ({"name": "acme", "key_kinds": [admin.KEY_KIND_PUBLIC]}, "test", outcome_pb2.CAUSE_CREDENTIAL_KIND),
        (
            {"name": "acme", "key_kinds": [admin.KEY_KIND_PUBLIC, admin.KEY_KIND_SECRET]},
            "secret",
            outcome_pb2.CAUSE_CREDENTIAL_KIND,
        ),
        ({"name": "acme", "key_kinds": [admin.KEY_KIND_SECRET]}, "secret", outcome_pb2.CAUSE_UNAVAILABLE),
        ({"name": "grpc", "key_kinds": [admin.KEY_KIND_SECRET]}, "secret", outcome_pb2.CAUSE_UNAVAILABLE),
        ({"name": "", "key_kinds": [admin.KEY_KIND_PUBLIC]}, "public", outcome_pb2.CAUSE_UNAVAILABLE),
        ({}, "public", outcome_pb2.CAUSE_UNAVAILABLE),
    ],
)
async def test_an_api_takes_the_keys_that_it_names_and_no_secret_key(service, access, key, refused):
    (answer,) = await gathered(
        service,
        GatheredRequest(access=access, credential=service.keys[key], entry=LogEntry(events=events("a"))),
    )
    assert answer.refusal.cause == refused
    assert bool(answer.response.receipt) == (refused == outcome_pb2.CAUSE_UNSPECIFIED)


async def test_events_of_an_api_without_a_number_bear_its_name_and_deduplicate(service, redis):
    access = {"name": "acme", "key_kinds": [admin.KEY_KIND_PUBLIC], "event_ids": True}
    entry = LogEntry(events=[event_pb2.Event(name="a", event_id="one"), event_pb2.Event(name="a", event_id="one")])
    request = GatheredRequest(access=access, credential=service.keys["public"], entry=entry)
    await gathered(service, request)
    await gathered(service, request)
    dry = GatheredRequest(access=access, credential=service.keys["public"], entry=LogEntry(events=events("b")))
    dry.dry_run = True
    (answer,) = await gathered(service, dry)
    told = [(event.dialect, event.dialect_name) for event in answer.dry_run_events]
    (kept,) = await stored(redis, service.project_id)
    assert [*told, (kept.dialect, kept.dialect_name)] == [(event_pb2.DIALECT_PLUGIN, "acme")] * 2


async def test_only_gateways_may_gather(service):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.ingest.IngestGathered(IngestGatheredRequest(), metadata=service.bearer())
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_a_dry_run_names_the_sinks_whose_routes_take_one_of_its_events(start_service):
    def rule(name: str, route: str | None) -> SinkSpec:
        return SinkSpec(name=name, when_full="expire", route=Route(route) if route else None)

    rules = (rule("all", None), rule("b-only", 'event.name == "b"'), rule("cannot-tell", "properties.amount > 1"))
    service = await start_service(sinks=rules)
    made = await service.projects.CreateKey(CreateKeyRequest(project="default", kind=admin.KEY_KIND_ORGANISATION))
    access = PromptingCompany.api.access
    dry = [
        GatheredRequest(access=access, credential=made.key.key, entry=LogEntry(events=sent), dry_run=True)
        for sent in (events("a"), events("a", "b"))
    ]
    only_a, both = await gathered(service, *dry)
    assert list(only_a.dry_run_sinks) == ["all"]
    assert list(both.dry_run_sinks) == ["all", "b-only"]


async def test_a_gathered_dry_run_shows_what_would_be_stored_and_sinks_to_those_who_may_know(service, redis):
    made = await service.projects.CreateKey(CreateKeyRequest(project="default", kind=admin.KEY_KIND_ORGANISATION))
    public, organisation = await gathered(
        service,
        GatheredRequest(
            access=Xaiku.api.access,
            credential=service.keys["public"],
            entry=LogEntry(events=events("a")),
            dry_run=True,
        ),
        GatheredRequest(
            access=PromptingCompany.api.access,
            credential=made.key.key,
            entry=LogEntry(events=events("b")),
            dry_run=True,
        ),
    )
    assert [e.name for e in public.dry_run_events] == ["a"]
    assert public.dry_run_events[0].project_id == service.project_id
    assert list(public.dry_run_sinks) == []
    assert list(organisation.dry_run_sinks) == ["jsonl", "webhook"]
    assert await stored(redis, service.project_id) == []


async def test_a_reused_key_is_told_the_limits_as_they_stand(service):
    def keyed(name: str, body_hash: bytes) -> GatheredRequest:
        return GatheredRequest(
            access=RealAnalytics.api.access,
            credential=service.keys["public"],
            entry=LogEntry(events=events(name)),
            idempotency_key="k",
            body_hash=body_hash,
        )

    _, reused = await gathered(service, keyed("a", b"1" * 32), keyed("b", b"2" * 32))
    assert reused.refusal.cause == outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH
    assert (reused.limits.rate.limit, reused.limits.rate.used) == (1000, 1)


async def test_a_request_without_events_leaves_its_key_free(service, redis):
    def keyed(body_hash: bytes, *names: str) -> GatheredRequest:
        return GatheredRequest(
            access=Codcompass.api.access,
            entry=LogEntry(events=events(*names)),
            idempotency_key="k",
            body_hash=body_hash,
        )

    empty, again, other = await gathered(service, keyed(b"1" * 32), keyed(b"1" * 32), keyed(b"2" * 32, "a"))
    assert (empty.response.receipt, again.response.receipt, again.response.replayed) == ("", "", False)
    assert other.response.receipt
    assert [event.name for event in await stored(redis, service.project_id)] == ["a"]


async def test_a_refused_request_is_authenticated_and_counted(service, redis):
    bad, good = await gathered(
        service,
        GatheredRequest(access=Xaiku.api.access, credential="pk_live_no", refused=3),
        GatheredRequest(
            access=Xaiku.api.access,
            credential=service.keys["public"],
            refused=3,
            refused_reason=outcome_pb2.REASON_INVALID,
        ),
    )
    assert bad.refusal.cause == outcome_pb2.CAUSE_CREDENTIAL_INVALID
    assert good.HasField("response")

    async def refused() -> int:
        found = 0
        for key in await redis.keys("*:use"):
            for field, value in (await redis.hgetall(key)).items():
                found += int(value) if field.endswith(b":refused:INVALID") else 0
        return found

    async with asyncio.timeout(5):
        while await refused() != 3:
            await asyncio.sleep(0.05)


async def test_without_redis_the_answer_is_unavailable_and_health_says_so(start_service, tmp_path):
    service = await start_service(redis_url=f"unix://{tmp_path}/none.sock")
    request = IngestEventsRequest(events=events("a"))
    code, info, details = await refusal(service.ingest.IngestEvents(request, metadata=service.bearer()))
    assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    assert "RetryInfo" in details


async def test_keys_and_receipts_outlive_a_restart(start_service):
    first = await start_service()
    request = IngestEventsRequest(events=events("a"), idempotency_key="k")
    receipt = (await first.ingest.IngestEvents(request, metadata=first.bearer())).receipt
    await first.stop()
    second = await start_service()
    assert second.keys == first.keys
    assert (await second.ingest.IngestEvents(request, metadata=second.bearer())).receipt == receipt
