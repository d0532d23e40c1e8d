"""Large bodies do not hold the event loop."""

import asyncio
import gzip
import threading

import pytest
from headgate_gateway.http.body import BodyLimits
from headgate_gateway.http.worker_thread import WorkerThread, WorkerThreadBusy

LIMITS = BodyLimits(inline_bytes=500)


def body(size: int, start: bytes = b'{"events":[{"name":"a"}]') -> bytes:
    return start + b" " * (size - len(start) - 1) + b"}"


@pytest.fixture
async def gateway(start_gateway):
    return await start_gateway(limits=LIMITS)


class TestSideThread:
    async def test_it_does_one_piece_of_work_after_the_other_and_refuses_what_is_too_much(self):
        side = WorkerThread(waiting=2)
        go = threading.Event()
        first, second = asyncio.create_task(side.run(go.wait)), asyncio.create_task(side.run(lambda: 7))
        await asyncio.sleep(0)
        with pytest.raises(WorkerThreadBusy):
            await side.run(lambda: 8)
        go.set()
        assert await asyncio.gather(first, second) == [True, 7]
        assert await side.run(lambda: 9) == 9
        side.close()

    async def test_what_the_work_raises_is_raised(self):
        side = WorkerThread()
        with pytest.raises(ZeroDivisionError):
            await side.run(lambda: 1 / 0)
        side.close()

    async def test_who_goes_away_leaves_no_work_behind(self):
        side = WorkerThread(waiting=1)
        go = threading.Event()
        gone = asyncio.create_task(side.run(go.wait))
        await asyncio.sleep(0)
        gone.cancel()
        go.set()
        await asyncio.gather(gone, return_exceptions=True)
        assert await side.run(lambda: 1) == 1
        side.close()


class TestLargeBodies:
    @pytest.mark.parametrize(("size", "side"), [(500, False), (501, True), (1000, True)])
    async def test_are_parsed_there_and_small_ones_are_not(self, gateway, http, size, side):
        assert (await http.post("/plain", content=body(size), headers={"x-key": "k"})).status_code == 200
        assert [name.startswith("side") for name in gateway.plain.threads] == [side]

    async def test_what_counts_is_their_decoded_size(self, gateway, http):
        headers = {"x-key": "k", "Content-Encoding": "gzip"}
        assert (await http.post("/plain", content=gzip.compress(body(3000)), headers=headers)).status_code == 200
        assert gateway.plain.threads[0].startswith("side")
        assert (await http.post("/plain", content=gzip.compress(body(5001)), headers=headers)).status_code == 413
        assert (await http.post("/plain", content=gzip.compress(body(900))[:-3], headers=headers)).status_code == 400

    async def test_small_requests_are_answered_meanwhile(self, gateway, http):
        go = threading.Event()
        working = asyncio.create_task(gateway.side.run(go.wait))
        await asyncio.sleep(0)
        assert (await http.post("/plain", content=body(100), headers={"x-key": "k"})).status_code == 200
        # The thread of this gateway takes one piece of work.
        refused = await http.post("/plain", content=body(1000), headers={"x-key": "k"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        go.set()
        await working
        assert (await http.post("/plain", content=body(1000), headers={"x-key": "k"})).status_code == 200

    @pytest.mark.parametrize(
        ("start", "status"), [(b"{]", 400), (b'{"events":[{}]', 422), (b'{"events":[{"name":"a"}],"events":[{}]', 422)]
    )
    async def test_their_faults_are_answered_alike(self, http, start, status):
        assert (await http.post("/plain", content=body(900, start), headers={"x-key": "k"})).status_code == status
        assert (await http.post("/plain", content=body(400, start), headers={"x-key": "k"})).status_code == status

    async def test_a_defect_costs_one_request_its_answer(self, http):
        large = b'"explode"' + b" " * 900
        assert (await http.post("/plain", content=large, headers={"x-key": "k"})).status_code == 503
