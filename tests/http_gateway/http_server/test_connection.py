"""Connections over a real socket: what may be read in two ways, grows without end, or never comes."""

import asyncio
import contextlib
import re

import grpc.aio
import pytest
from headgate_gateway.http_server.connection import HeadLimits
from headgate_gateway.ingest.client import CHANNEL_OPTIONS, GatheredIngestClient, Gathering

BODY = b'{"events":[{"name":"a"}]}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
CLOSE = b"Connection: close\r\n"
LINGERING = HeadLimits(discard_bytes=1_000_000)


def post(*fields: bytes, body: bytes = BODY, host: bytes = b"Host: x\r\n", version: bytes = b"1.1") -> bytes:
    return b"POST /plain HTTP/" + version + b"\r\n" + host + b"X-Key: k\r\n" + b"".join(fields) + b"\r\n" + body


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(LENGTH, CHUNKED, body=CHUNKS + b"\r\n"),
        post(CHUNKED, LENGTH, body=CHUNKS + b"\r\n"),
        post(LENGTH, b"Content-Length: 3\r\n"),
        post(b"Content-Length: +25\r\n"),
        post(b"Content-Length : 25\r\n"),
        post(LENGTH).replace(b"\r\n", b"\n"),
        post(b"A: b\n", LENGTH),
        post(b"A: b\rX: c\r\n", LENGTH),
        post(b"A: b\r\n c\r\n", LENGTH),
        post(CHUNKED, body=b"0x1\r\na\r\n0\r\n\r\n"),
        post(LENGTH, host=b""),
        post(LENGTH, b"Host: y\r\n"),
        b"\x16\x03\x01\x02\x00\x01",
    ],
    ids=[
        "length-and-chunked",
        "chunked-and-length",
        "two-lengths",
        "signed-length",
        "space-before-colon",
        "bare-lf",
        "one-bare-lf",
        "bare-cr",
        "folded",
        "chunk-size",
        "no-host",
        "two-hosts",
        "tls",
    ],
)
async def test_what_can_be_read_in_two_ways_is_refused(gateway, request_bytes):
    assert statuses(await gateway.raw(request_bytes)) == [400]
    assert not gateway.client.requests


async def test_blanks_around_a_value_are_no_part_of_it(gateway):
    fields = b"Origin: \t https://shop.example \t \r\nIdempotency-Key: k-1  \r\nContent-Type: application/json\t\r\n"
    answer = await gateway.raw(post(LENGTH, fields, CLOSE).replace(b"X-Key: k", b"X-Key:   k   "))
    assert statuses(answer) == [200]
    (request,) = gateway.client.requests
    assert (request.credential, request.origin, request.idempotency_key) == ("k", "https://shop.example", "k-1")


async def test_no_other_space_is_a_blank(gateway):
    answer = await gateway.raw(post(LENGTH, CLOSE).replace(b"X-Key: k", b"X-Key: k\xa0"))
    assert statuses(answer) == [200]
    (request,) = gateway.client.requests
    assert request.credential == "k\xa0"


async def test_an_old_client_need_not_name_the_host(gateway):
    assert statuses(await gateway.raw(post(LENGTH, host=b"", version=b"1.0"))) == [200]


@pytest.mark.parametrize("name", [b"gzip, chunked", b"xchunked"])
async def test_a_transfer_encoding_that_is_not_undone_is_refused(gateway, name):
    answer = await gateway.raw(post(b"Transfer-Encoding: " + name + b"\r\n", body=CHUNKS + b"\r\n"))
    assert statuses(answer) == [501]
    assert not gateway.client.requests


class TestUpgrade:
    """Java's client and `curl --http2` ask for HTTP/2 with the first request; its body is sent all the same."""

    @pytest.mark.parametrize(
        "pieces",
        [
            [post(UPGRADE, LENGTH)],
            [post(UPGRADE, LENGTH, body=b""), BODY],
            [post(UPGRADE, CHUNKED, body=b""), CHUNKS[:9], CHUNKS[9:] + b"\r\n"],
        ],
        ids=["at-once", "later", "chunked"],
    )
    async def test_the_body_is_read_and_the_connection_goes_on(self, gateway, pieces):
        answer = await gateway.raw(*pieces, post(UPGRADE, LENGTH), post(LENGTH, CLOSE))
        assert statuses(answer) == [200, 200, 200]
        assert [len(request.entry.events) for request in gateway.client.requests] == [1, 1, 1]

    async def test_the_body_is_no_request_of_its_own(self, gateway):
        hidden = post(LENGTH)
        answer = await gateway.raw(
            post(UPGRADE, b"Content-Length: %d\r\n" % len(hidden), body=b""), hidden, post(LENGTH, CLOSE)
        )
        assert statuses(answer) == [400, 200]
        assert [len(request.entry.events) for request in gateway.client.requests] == [0, 1]


class TestHeadSize:
    @pytest.mark.parametrize("over", [0, 1])
    async def test_fields_are_counted(self, start_gateway, over):
        gateway = await start_gateway(head=HeadLimits(fields=20))
        # Host, X-Key, Content-Length and Connection are four of them.
        fields = [b"A%d: b\r\n" % number for number in range(16 + over)]
        assert statuses(await gateway.raw(post(*fields, LENGTH, CLOSE))) == [431 if over else 200]

    @pytest.mark.parametrize("over", [0, 1])
    async def test_bytes_are_counted(self, start_gateway, over):
        gateway = await start_gateway(head=HeadLimits(size=1000))
        rest = len("/plain") + len("Host: x\r\nX-Key: k\r\nConnection: close\r\nA: \r\n") + len(LENGTH)
        request = post(b"A: " + b"a" * (1000 - rest + over) + b"\r\n", LENGTH, CLOSE)
        assert statuses(await gateway.raw(request)) == [431 if over else 200]

    @pytest.mark.parametrize("over", [0, 1])
    async def test_so_they_are_behind_another_request(self, start_gateway, over):
        gateway = await start_gateway(head=HeadLimits(size=1000))
        rest = len("/plain") + len("Host: x\r\nX-Key: k\r\nConnection: close\r\nA: \r\n") + len(LENGTH)
        requests = post(LENGTH) + post(b"A: " + b"a" * (1000 - rest + over) + b"\r\n", LENGTH, CLOSE)
        # Where what cannot be read comes while a request is answered, the connection ends with that answer.
        assert statuses(await gateway.raw(requests)) == ([200] if over else [200, 200])
        assert len(gateway.client.requests) == (1 if over else 2)

    @pytest.mark.parametrize("before", [b"", post(LENGTH)], ids=["first", "behind another request"])
    @pytest.mark.parametrize("fields", [b"a:\r\n" * 101, b"a: %s\r\n" % (b"a" * 2600) * 26], ids=["fields", "bytes"])
    async def test_they_are_counted_before_the_head_is_complete(self, start_gateway, before, fields):
        gateway = await start_gateway(head=HeadLimits(discard_seconds=0.1))
        answer = await gateway.raw(before + b"POST /plain HTTP/1.1\r\nHost: x\r\n" + fields)
        assert statuses(answer) == ([200] if before else [431])
        assert len(gateway.client.requests) == bool(before)

    async def test_the_default_limits_are_64_kib_and_100(self, gateway):
        assert statuses(await gateway.raw(post(b"A: " + b"a" * 65_536 + b"\r\n", LENGTH))) == [431]
        assert statuses(await gateway.raw(post(*[b"A: b\r\n"] * 100, LENGTH))) == [431]
        assert statuses(
            await gateway.raw(post(*[b"A: b\r\n"] * 90, b"B: " + b"b" * 60_000 + b"\r\n", LENGTH, CLOSE))
        ) == [200]

    @pytest.mark.parametrize(
        "start",
        [
            b"POST /plain?",
            b"POST /plain HTTP/1.1\r\nHost: x\r\nA: ",
            post(CHUNKED, body=b"19;"),
            post(CHUNKED, body=CHUNKS + b"A: "),
        ],
        ids=["target", "header", "chunk-extension", "trailer"],
    )
    async def test_a_client_that_never_ends_a_line_is_cut(self, start_gateway, start):
        gateway = await start_gateway(head=LINGERING)
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(start)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 1000:
                writer.write(b"a" * 16_384)
                await writer.drain()
                sent += 1
        writer.close()
        assert 4 <= sent < 1000
        assert not gateway.client.requests

    @pytest.mark.parametrize(
        ("start", "status"),
        [(b"POST /plain?", 431), (b"POST /plain HTTP/1.1\r\nA: ", 431), (post(CHUNKED, body=b"19;"), 400)],
        ids=["target", "header", "chunk-extension"],
    )
    async def test_and_sees_why(self, gateway, start, status):
        assert statuses(await gateway.raw(start, *[b"a" * 16_384] * 40)) == [status]

    async def test_who_sends_large_headers_before_reading_sees_the_answer(self, gateway):
        assert statuses(await gateway.raw(post(b"A: " + b"a" * 4_000_000 + b"\r\n", LENGTH))) == [431]

    async def test_trailers_are_no_headers(self, gateway):
        body = CHUNKS + b"Headgate-Dry-Run: 1\r\n\r\n"
        assert statuses(await gateway.raw(post(CHUNKED, CLOSE, body=body))) == [200]
        assert not gateway.client.requests[0].dry_run


class TestSlowness:
    @pytest.mark.parametrize("start", [b"", b"POST /pl", post(LENGTH, body=b"")[:-2]], ids=["nothing", "line", "head"])
    async def test_a_head_that_does_not_come_ends_the_connection(self, start_gateway, start):
        gateway = await start_gateway(head=HeadLimits(seconds=0.2))
        assert await gateway.raw(start) == b""

    @pytest.mark.parametrize("start", [b"POST /pl", b"\r\n"], ids=["line", "blank-line"])
    async def test_nor_does_one_on_a_connection_that_was_used(self, start_gateway, start):
        gateway = await start_gateway(head=HeadLimits(seconds=0.2))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(post(LENGTH))
        await asyncio.wait_for(reader.readuntil(b"}"), 10)
        writer.write(start)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()

    async def test_nor_one_that_begins_with_the_request_before(self, start_gateway):
        gateway = await start_gateway(head=HeadLimits(seconds=0.2))
        assert statuses(await gateway.raw(post(LENGTH) + b"POST /pl")) == [200]

    async def test_dripping_does_not_help(self, start_gateway):
        gateway = await start_gateway(head=HeadLimits(seconds=0.5))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)

        async def drip() -> None:
            writer.write(b"POST /plain HTTP/1.1\r\n")
            while True:
                writer.write(b"A: b\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        dripping.cancel()
        writer.close()

    async def test_a_body_may_take_longer_than_a_head(self, start_gateway):
        gateway = await start_gateway(head=HeadLimits(seconds=0.1))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(post(LENGTH, CLOSE, body=BODY[:5]))
        await asyncio.sleep(0.3)
        writer.write(BODY[5:])
        assert statuses(await asyncio.wait_for(reader.read(), 10)) == [200]
        writer.close()

    async def test_an_answer_is_awaited_though_the_next_head_is_late(self, start_gateway, service, until):
        service.gate.clear()
        async with grpc.aio.insecure_channel(service.address, options=CHANNEL_OPTIONS) as channel:
            client = GatheredIngestClient(channel, "the-gateway-token", Gathering(), lambda requests: None)
            gateway = await start_gateway(client=client, head=HeadLimits(seconds=0.1))
            asked = asyncio.create_task(gateway.raw(post(LENGTH) + b"POST /pl"))
            await until(lambda: service.running == 1)
            await asyncio.sleep(0.3)
            service.gate.set()
            assert statuses(await asked) == [200]
            await client.close()


class TestAnIdleConnection:
    async def test_it_is_closed_in_time(self, start_gateway):
        gateway = await start_gateway(keep_alive_seconds=1)
        assert statuses(await gateway.raw(post(LENGTH))) == [200]

    async def test_one_that_is_used_stays(self, start_gateway):
        gateway = await start_gateway(keep_alive_seconds=2)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        for _ in range(4):
            writer.write(post(LENGTH))
            await asyncio.sleep(0.8)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert statuses(answer) == [200] * 4
        writer.close()


class TestOneAfterAnother:
    async def test_requests_before_one_that_cannot_be_read_get_their_own_answers(self, gateway):
        answer = await gateway.raw(post(LENGTH) + post(LENGTH) + b"\x01\x02\r\n\r\n")
        assert statuses(answer) == [200, 200]
        assert len(gateway.client.requests) == 2

    async def test_a_body_that_cannot_be_read_to_its_end_stores_nothing(self, gateway):
        answer = await gateway.raw(post(CHUNKED, body=b"1\r\n{\r\n"), b"zz\r\n")
        assert statuses(answer) == [400]
        assert not gateway.client.requests


class TestTooManyConnections:
    async def test_one_more_is_answered_503_until_one_ends(self, start_gateway, until):
        gateway = await start_gateway(max_connections=2)
        held = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(2)]
        for _, writer in held:
            # It has begun to ask.
            writer.write(b"POST")
            await writer.drain()
        answer = await gateway.raw(post(LENGTH))
        assert statuses(answer) == [503]
        assert b"\r\nretry-after: 1\r\n" in answer
        assert gateway.metrics.registry.get_sample_value("headgate_gateway_shed_total", {"what": "connection"}) == 1
        assert not gateway.client.requests
        held[0][1].close()
        await held[0][1].wait_closed()
        answer = b"HTTP/1.1 503 "
        async with asyncio.timeout(10):
            while statuses(answer) == [503]:
                answer = await gateway.raw(post(LENGTH, CLOSE))
        assert statuses(answer) == [200]
        held[1][1].close()

    async def test_an_idle_one_is_closed_for_it(self, start_gateway):
        gateway = await start_gateway(max_connections=2)
        held = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(2)]
        for reader, writer in held:
            writer.write(post(LENGTH))
            assert statuses(await reader.readuntil(b"}")) == [200]
        assert statuses(await gateway.raw(post(LENGTH, CLOSE))) == [200]
        done, _ = await asyncio.wait(
            [asyncio.create_task(reader.read()) for reader, _ in held], return_when=asyncio.FIRST_COMPLETED, timeout=10
        )
        assert [task.result() for task in done] == [b""]
        for _, writer in held:
            writer.close()

    async def test_a_crowd_is_cut_off(self, start_gateway):
        gateway = await start_gateway(max_connections=1)
        answers = await asyncio.gather(*(gateway.raw(b"POST") for _ in range(40)), return_exceptions=True)
        # 1 waits for the rest of its request, 16 are answered, and the others reset.
        shed = [answer for answer in answers if isinstance(answer, bytes) and statuses(answer) == [503]]
        assert len(shed) == 16
