"""The coalescing client against a real gRPC server."""

import asyncio

import grpc
import grpc.aio
import pytest
from headgate.v1 import event_pb2, ingest_service_pb2, log_pb2, outcome_pb2
from headgate_gateway.ingest.client import (
    CHANNEL_OPTIONS,
    MAX_MESSAGE_BYTES,
    GatheredIngestClient,
    Gathering,
    RequestTooLarge,
    ServiceUnavailable,
)


def request(name: str, size: int = 0) -> ingest_service_pb2.GatheredRequest:
    event = event_pb2.Event(name=name, properties_json=b"x" * size)
    return ingest_service_pb2.GatheredRequest(credential=name, entry=log_pb2.LogEntry(events=[event]))


def echo(one: ingest_service_pb2.GatheredRequest) -> ingest_service_pb2.GatheredAnswer:
    return ingest_service_pb2.GatheredAnswer(response=ingest_service_pb2.IngestEventsResponse(receipt=one.credential))


@pytest.fixture
async def connect(service):
    service.judge = echo
    opened = []

    def open_client(gathering=Gathering(), address=service.address, clock=asyncio.get_running_loop().time):  # noqa: B008
        channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        client = GatheredIngestClient(channel, "the-gateway-token", gathering, sizes.append, clock)
        opened.append((client, channel))
        return client

    sizes: list[int] = []
    open_client.sizes = sizes
    yield open_client
    service.gate.set()
    for client, channel in opened:
        await client.close()
        await channel.close()


async def test_a_lone_request_goes_at_once_and_shows_the_token(service, connect):
    answer = await connect().ingest(request("a"))
    assert answer.response.receipt == "a"
    assert service.tokens == ["the-gateway-token"]


async def test_while_two_calls_are_in_flight_the_rest_gathers_in_order(service, connect, until):
    service.gate.clear()
    client = connect()
    asked = [asyncio.create_task(client.ingest(request(f"r{n}"))) for n in range(50)]
    await until(lambda: len(service.calls) == 2)
    assert [len(call.requests) for call in service.calls] == [1, 1]
    service.gate.set()
    answers = await asyncio.gather(*asked)
    assert [answer.response.receipt for answer in answers] == [f"r{n}" for n in range(50)]
    assert [one.credential for one in service.calls[2].requests] == [f"r{n}" for n in range(2, 50)]
    assert service.most_running == 2
    assert connect.sizes == [1, 1, 48]


async def test_a_call_is_bounded_but_a_larger_request_goes_alone(service, connect, until):
    service.gate.clear()
    client = connect(Gathering(call_bytes=10_000))
    sizes = [0, 0, 4000, 4000, 4000, 50_000, 10, 10]
    asked = [asyncio.create_task(client.ingest(request(f"r{n}", size))) for n, size in enumerate(sizes)]
    await until(lambda: len(service.calls) == 2)
    service.gate.set()
    await asyncio.gather(*asked)
    batches = sorted([one.credential for one in call.requests] for call in service.calls)
    assert batches == [["r0"], ["r1"], ["r2", "r3"], ["r4"], ["r5"], ["r6", "r7"]]


async def test_a_request_of_many_megabytes_goes_through_and_a_larger_one_is_named(service, connect):
    client = connect()
    assert (await client.ingest(request("big", 20 * 1024 * 1024))).response.receipt == "big"
    with pytest.raises(RequestTooLarge):
        await client.ingest(request("bigger", MAX_MESSAGE_BYTES))


async def test_no_service_fails_fast_and_its_return_is_noticed(service, connect):
    client = connect(address="127.0.0.1:1")
    with pytest.raises(ServiceUnavailable):
        await client.ingest(request("a"))
    assert (await connect().ingest(request("a"))).response.receipt == "a"


async def test_a_failed_call_fails_every_request_in_it_and_no_other(service, connect, until):
    service.gate.clear()
    client = connect()
    asked = [asyncio.create_task(client.ingest(request(f"r{n}"))) for n in range(10)]
    await until(lambda: len(service.calls) == 2)
    service.fail_with = grpc.StatusCode.UNAVAILABLE
    service.gate.set()
    assert all(isinstance(one, ServiceUnavailable) for one in await asyncio.gather(*asked, return_exceptions=True))
    service.fail_with = None
    assert (await client.ingest(request("later"))).response.receipt == "later"


async def test_a_call_that_takes_too_long_is_not_confirmed(service, connect, until):
    service.gate.clear()
    client = connect(Gathering(answer_seconds=0.2))
    asked = [client.ingest(request(f"r{n}")) for n in range(20)]
    assert all(isinstance(one, ServiceUnavailable) for one in await asyncio.gather(*asked, return_exceptions=True))


async def test_waiting_for_a_call_and_for_its_answer_are_bounded_together(service, connect, until):
    service.gate.clear()
    client = connect(Gathering(answer_seconds=1.0))
    early = [asyncio.create_task(client.ingest(request(f"r{n}"))) for n in range(2)]
    await until(lambda: len(service.calls) == 2)
    await asyncio.sleep(0.3)
    old = asyncio.create_task(client.ingest(request("old")))
    await asyncio.sleep(0.4)
    young = asyncio.create_task(client.ingest(request("young")))
    assert all(isinstance(one, ServiceUnavailable) for one in await asyncio.gather(*early, return_exceptions=True))
    await until(lambda: len(service.calls) == 3)
    assert [one.credential for one in service.calls[2].requests] == ["old", "young"]
    # No longer than the younger waits: a frozen service does not hold the place of a call for nobody.
    assert service.seconds_given[2] < 0.8
    with pytest.raises(ServiceUnavailable):
        await old
    assert not young.done()
    with pytest.raises(ServiceUnavailable):
        await young


async def test_answers_that_do_not_fit_the_requests_are_not_believed(service, connect):
    service.forget_an_answer = True
    with pytest.raises(ServiceUnavailable):
        await connect().ingest(request("a"))


@pytest.mark.parametrize(
    ("gathering", "taken"), [(Gathering(waiting_requests=3), 3), (Gathering(waiting_bytes=9_000), 2)]
)
async def test_the_queue_is_bounded(service, connect, until, gathering, taken):
    service.gate.clear()
    client = connect(gathering)
    asked = [asyncio.create_task(client.ingest(request(f"r{n}", 4000))) for n in range(2 + taken)]
    await until(lambda: len(service.calls) == 2)
    with pytest.raises(ServiceUnavailable, match="too many"):
        await client.ingest(request("one too many", 4000))
    service.gate.set()
    assert len(await asyncio.gather(*asked)) == 2 + taken


async def test_who_no_longer_waits_is_not_sent(service, connect, until):
    service.gate.clear()
    client = connect()
    asked = [asyncio.create_task(client.ingest(request(f"r{n}"))) for n in range(4)]
    await until(lambda: len(service.calls) == 2)
    asked[2].cancel()
    service.gate.set()
    await asyncio.wait(asked)
    assert [one.credential for one in service.calls[2].requests] == ["r3"]


async def test_closing_waits_for_what_was_taken_and_takes_no_more(service, connect, until):
    service.gate.clear()
    client = connect()
    asked = [asyncio.create_task(client.ingest(request(f"r{n}"))) for n in range(5)]
    await until(lambda: len(service.calls) == 2)
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    with pytest.raises(ServiceUnavailable, match="closing"):
        await client.ingest(request("late"))
    service.gate.set()
    await closing
    assert [answer.response.receipt for answer in await asyncio.gather(*asked)] == [f"r{n}" for n in range(5)]


class TestServicesOfOtherRevisions:
    """Peers that answer as another revision would, over a real server."""

    async def test_one_that_lost_the_events_confirms_nothing(self, service, connect):
        # As one does that reads them in another field: to it the request has none, and its credential is good.
        service.judge = lambda one: ingest_service_pb2.GatheredAnswer(response={})
        with pytest.raises(ServiceUnavailable, match="events"):
            await connect().ingest(request("a"))

    @pytest.mark.parametrize("events", [0, 1, 3])
    async def test_a_count_that_is_not_the_sent_one_confirms_nothing(self, service, connect, events):
        service.judge = lambda one: ingest_service_pb2.GatheredAnswer(response={"receipt": "r"}, events=events)
        two = request("a")
        two.entry.events.add(name="b")
        with pytest.raises(ServiceUnavailable, match="events"):
            await connect().ingest(two)

    @pytest.mark.parametrize("answered", [{"response": {"receipt": "r"}, "events": 1}, {"response": {}, "events": 1}])
    async def test_the_sent_count_does(self, service, connect, answered):
        service.judge = lambda one: ingest_service_pb2.GatheredAnswer(**answered)
        await connect().ingest(request("a"))

    @pytest.mark.parametrize(
        "answered",
        [
            {"response": {"receipt": "r"}},
            {"response": {"results": [{"outcome": outcome_pb2.OUTCOME_DROPPED}]}},
            {"response": {}, "dry_run_events": [{"name": "a"}]},
        ],
    )
    async def test_the_one_before_is_believed_where_it_says_something_of_the_events(self, service, connect, answered):
        service.judge = lambda one: ingest_service_pb2.GatheredAnswer(**answered)
        await connect().ingest(request("a"))

    async def test_a_request_without_events_needs_no_count(self, service, connect):
        service.judge = lambda one: ingest_service_pb2.GatheredAnswer(response={})
        await connect().ingest(ingest_service_pb2.GatheredRequest(credential="a", refused=1))

    async def test_one_that_refuses_the_contract_is_named(self, service, connect):
        service.fail_with = grpc.StatusCode.FAILED_PRECONDITION
        client = connect()
        assert await client.refused(5) == "as the test wishes"
        with pytest.raises(ServiceUnavailable, match="FAILED_PRECONDITION"):
            await client.ingest(request("a"))

    async def test_the_contract_is_shown(self, service, connect):
        client = connect()
        await client.ingest(request("a"))
        assert await client.refused(5) == ""
        assert service.contracts == ["2", "2"]
