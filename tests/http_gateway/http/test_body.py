"""Bodies over a real socket: sizes, encodings, slowness, and answers that the client gets to see."""

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from headgate_gateway.http.body import BodyLimits

ONE = b'{"events":[{"name":"a"}]}'
LIMIT = 1000


def padded(size: int) -> bytes:
    return ONE[:-1] + b" " * (size - len(ONE)) + b"}"


def head(*lines: str, close: bool = True) -> bytes:
    given = ["POST /plain HTTP/1.1", "Host: x", "X-Key: k", *lines, *(["Connection: close"] if close else [])]
    return "\r\n".join(given).encode() + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


class TestSize:
    async def test_the_wire_limit_is_exact(self, http):
        assert (await http.post("/plain", content=padded(LIMIT), headers={"x-key": "k"})).status_code == 200
        assert (await http.post("/plain", content=padded(LIMIT + 1), headers={"x-key": "k"})).status_code == 413

    async def test_chunks_are_read_and_counted(self, gateway):
        chunked = head("Transfer-Encoding: chunked")
        assert status(await gateway.raw(chunked, chunk(ONE[:9]), chunk(ONE[9:]), chunk(b""))) == 200
        parts = [chunk(padded(LIMIT + 1)[at : at + 100]) for at in range(0, LIMIT + 1, 100)]
        assert status(await gateway.raw(chunked, *parts, chunk(b""))) == 413

    async def test_a_declared_length_over_the_limit_is_refused_before_any_of_it_comes(self, start_gateway):
        gateway = await start_gateway(limits=BodyLimits(discard_seconds=0.1))
        answer = await gateway.raw(head("Content-Length: 1001"), b"")
        assert status(answer) == 413

    async def test_no_leave_to_send_is_given_to_a_body_that_is_too_large(self, start_gateway):
        gateway = await start_gateway(limits=BodyLimits(discard_seconds=0.1))
        answer = await gateway.raw(head("Content-Length: 1001", "Expect: 100-continue"))
        assert answer.startswith(b"HTTP/1.1 413 ")

    async def test_leave_to_send_is_given_to_others(self, gateway):
        answer = await gateway.raw(head(f"Content-Length: {len(ONE)}", "Expect: 100-continue"), ONE)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")

    @pytest.mark.parametrize("declared", [True, False])
    async def test_who_sends_a_large_body_before_reading_sees_the_answer(self, gateway, declared):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        size = 15 * 1024 * 1024
        writer.write(head(f"Content-Length: {size}" if declared else "Transfer-Encoding: chunked"))
        piece = bytes(1024 * 1024)
        for _ in range(15):
            writer.write(piece if declared else chunk(piece))
            await writer.drain()
        if not declared:
            writer.write(chunk(b""))
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert status(answer) == 413
        assert b"connection: close" in answer.lower()
        assert answer.endswith(b"}")

    async def test_an_endless_body_is_cut(self, gateway):
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head("Transfer-Encoding: chunked"))
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 200:
                writer.write(chunk(bytes(1024 * 1024)))
                await writer.drain()
                sent += 1
        assert 16 <= sent < 200

    async def test_nothing_is_waited_for_once_a_refused_body_has_come_whole(self, start_gateway):
        gateway = await start_gateway(limits=BodyLimits(discard_seconds=3600))
        chunked = head("Transfer-Encoding: chunked")
        assert status(await gateway.raw(chunked + chunk(padded(LIMIT + 1)) + chunk(b""))) == 413
        assert status(await gateway.raw(head("Content-Length: 1001") + padded(LIMIT + 1))) == 413

    async def test_the_413_of_a_documented_api_names_the_limit(self, http):
        answer = await http.post("/api/v1/analytics", content=bytes(1024 * 1024 + 1))
        assert (answer.status_code, answer.json()) == (413, {"error": "Payload too large", "limit": 1_048_576})


class TestEncoding:
    @pytest.mark.parametrize(
        ("name", "squeeze"),
        [
            ("gzip", gzip.compress),
            ("deflate", zlib.compress),
            ("deflate", lambda data: zlib.compress(data)[2:-4]),
            ("br", brotli.compress),
            ("zstd", zstandard.compress),
            ("identity", bytes),
        ],
    )
    async def test_each(self, http, gateway, name, squeeze):
        headers = {"x-key": "k", "Content-Encoding": name}
        assert (await http.post("/plain", content=squeeze(ONE), headers=headers)).status_code == 200
        assert len(gateway.client.requests[0].entry.events) == 1
        if name == "identity":
            return
        assert (await http.post("/plain", content=squeeze(padded(5 * LIMIT)), headers=headers)).status_code == 200
        assert (await http.post("/plain", content=squeeze(padded(5 * LIMIT + 1)), headers=headers)).status_code == 413
        assert (await http.post("/plain", content=squeeze(bytes(400_000)), headers=headers)).status_code == 413
        broken = await http.post("/plain", content=squeeze(padded(LIMIT))[:-5], headers=headers)
        assert (broken.status_code, broken.json()["cause"]) == (400, "not_json")
        assert "decompress" in broken.json()["faults"][0][2]

    async def test_without_a_credential_that_comes_before_corruption(self, http):
        answer = await http.post("/plain", content=b"junk", headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 401

    @pytest.mark.parametrize("name", ["compress", "gzip, br", "gzip, gzip"])
    async def test_others_are_refused_with_those_there_are(self, http, name):
        answer = await http.post("/plain", content=ONE, headers={"x-key": "k", "Content-Encoding": name})
        assert answer.status_code == 415
        assert answer.headers["accept-encoding"] == "gzip, deflate, br, zstd, identity"

    async def test_corrupt_data_is_malformed_in_each_documented_way(self, http):
        headers = {"Content-Encoding": "br", "X-API-Key": "pk_live_x", "X-public-key": "pk_live_x"}
        for path, code in (("/", 400), ("/api/v1/analytics", 400), ("/api/v1/analytics/events", 400)):
            assert (await http.post(path, content=b"junk", headers=headers)).status_code == code
        answer = await http.post("/api/analytics", content=b"junk", headers=headers)
        assert (answer.status_code, answer.json()) == (500, {"error": "Failed to process events"})


class TestType:
    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "application/json",
            "Application/JSON;charset=UTF-8",
            'application/json; charset="utf-8"',
            "text/plain",
            "text/plain;charset=UTF-8",
            "text/plain; charset=utf8",
            "application/x-www-form-urlencoded",
        ],
    )
    async def test_read(self, http, content_type):
        headers = {"x-key": "k", **({"Content-Type": content_type} if content_type else {})}
        assert (await http.post("/plain", content=ONE, headers=headers)).status_code == 200

    @pytest.mark.parametrize(
        "content_type",
        [
            "text/html",
            "multipart/form-data; boundary=x",
            "application/json; charset=latin-1",
            "application/jsonp",
            "json",
        ],
    )
    async def test_refused(self, http, content_type):
        answer = await http.post("/plain", content=ONE, headers={"x-key": "k", "Content-Type": content_type})
        assert answer.status_code == 415
        assert "application/json" in answer.headers["accept"]


class TestSlowness:
    async def test_a_body_that_stops_coming_is_answered(self, start_gateway):
        limits = BodyLimits(idle_seconds=0.2, discard_seconds=0.2)
        gateway = await start_gateway(limits=limits)
        answer = await gateway.raw(head("Content-Length: 100", close=False), b"{")
        assert status(answer) == 408
        assert not gateway.client.requests

    async def test_nor_does_one_that_never_begins(self, start_gateway):
        gateway = await start_gateway(limits=BodyLimits(idle_seconds=0.2, discard_seconds=0.2))
        assert status(await gateway.raw(head("Content-Length: 100", close=False))) == 408

    async def test_dripping_does_not_hold_a_connection_for_ever(self, start_gateway):
        gateway = await start_gateway(limits=BodyLimits(idle_seconds=5, total_seconds=0.5, discard_seconds=0.1))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head("Content-Length: 1000", close=False))

        async def drip() -> None:
            while True:
                writer.write(b" ")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        answer = await asyncio.wait_for(reader.read(100), 10)
        dripping.cancel()
        writer.close()
        assert status(answer) == 408

    async def test_who_hangs_up_midway_stores_nothing_and_breaks_nothing(self, gateway, http, until):
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head("Content-Length: 100") + b"{")
        await writer.drain()
        writer.close()
        sample = gateway.metrics.registry.get_sample_value
        labels = {"dialect": "plain", "cause": "slow"}
        await until(lambda: sample("headgate_gateway_refusals_total", labels) == 1)
        assert not gateway.client.requests
        assert (await http.post("/plain", content=ONE, headers={"x-key": "k"})).status_code == 200


async def test_a_refused_method_with_a_body_is_answered_and_closed(gateway):
    answer = await gateway.raw(b"PUT /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", bytes(100_000))
    assert status(answer) == 405


async def test_a_connection_serves_one_request_after_another(gateway):
    request = head(f"Content-Length: {len(ONE)}", close=False) + ONE
    answer = await gateway.raw(request + request + head(f"Content-Length: {len(ONE)}") + ONE)
    assert answer.count(b"HTTP/1.1 200 ") == 3


@pytest.mark.parametrize("path", ["/api/analytics", "/api/v1/analytics", "/", "/api/v1/analytics/events"])
@pytest.mark.parametrize(
    "flood",
    [
        b'{"events":[' + b"{}," * 6_900_000 + b"{}]}",
        b'{"events":[{"type":"a","payload":{"list":[' + b"[]," * 6_900_000 + b"[]]}}]}",
        b"[" + b"{}," * 6_900_000 + b"{}]",
    ],
    ids=["events", "values", "array"],
)
async def test_millions_of_values_in_a_small_body_take_no_memory(gateway, http, path, flood):
    # Those of API 1 are within its bytes, those of the others over theirs, too.
    small = gzip.compress(flood)
    assert len(small) < 64 * 1024
    del flood
    headers = {"content-encoding": "gzip", "x-public-key": "pk_live_x", "x-api-key": "pk_live_x"}
    tracemalloc.start()
    try:
        answer = await http.post(path, content=small, headers=headers)
        assert tracemalloc.get_traced_memory()[1] < 32 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert gateway.client.requests == []
