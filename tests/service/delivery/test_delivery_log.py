"""What an operator reads of a sink that fails, rejects, and recovers."""

from aiohttp import web
from headgate_service.delivery.delivery_log import DeliveryLog
from headgate_service.delivery.settlement import DeadLetterEntry, ProjectSettlement
from headgate_service.log.position import Position
from structlog.testing import capture_logs


def letters(count: int) -> ProjectSettlement:
    fields = ["sink", "hook", "lo", 6, "hi", 7, "code", "http_422", "message", "no such column", "attempts", 2]
    entries = [DeadLetterEntry([*fields, "first_ms", 1, "ms", 2])] * count
    return ProjectSettlement("a", Position("1-0", 9, 9), 1, count, [(6, 7)], entries)


def test_retries_are_said_once_a_minute():
    now = 0.0
    log = DeliveryLog("hook", lambda: now)
    with capture_logs() as logs:
        for second in range(150):
            now = float(second)
            log.retrying("the target answered 503: later", second + 1, 2.0)
    assert [one["attempt"] for one in logs] == [1, 61, 121]
    assert logs[0] == {
        "event": "sink retries",
        "log_level": "warning",
        "sink": "hook",
        "attempt": 1,
        "next": "2.0 s",
        "error": "the target answered 503: later",
    }


def test_dead_letters_are_said_with_their_reason_and_not_without_end():
    now = 0.0
    log = DeliveryLog("hook", lambda: now)
    with capture_logs() as logs:
        log.dead([letters(0), letters(3)])
        for _ in range(100):
            log.dead([letters(2)])
        now = 61.0
        log.dead([letters(1)])
    first, *_, last = logs
    assert (first["project"], first["events"], first["first"]) == ("a", 3, 7)
    assert (first["code"], first["reason"], first["attempts"]) == ("http_422", "no such column", 2)
    assert len(logs) == 21
    assert last["untold_before"] == 2 * 81


async def test_trouble_and_recovery_are_said(rig, producer, target, redis):
    target.refuse = lambda request, body: web.Response(status=503, text="back at nine")
    status = "headgate:sink:hook:status"
    with capture_logs() as logs:
        async with rig.forwarding(rig.config(rig.webhook())):
            await producer.append("a", 1)

            async def retrying() -> bool:
                return b"back at nine (attempt 2" in (await redis.hget(status, "last_error") or b"")

            await rig.eventually(retrying, "the second attempt")
            target.refuse = lambda request, body: web.Response(status=422, text="no such column")

            async def dead() -> bool:
                return await redis.exists("{s33}:a:dead") == 1

            await rig.eventually(dead, "a dead letter")
    said = [(one["event"], one["log_level"]) for one in logs if one.get("sink") == "hook"]
    assert ("sink retries", "warning") in said
    assert ("sink does not run as it should", "warning") in said
    assert ("sink runs again", "info") in said
    (letter,) = [one for one in logs if one["event"] == "events became dead letters"]
    assert letter["reason"] == "the target answered 422: no such column"
    assert [one["event"] for one in logs].count("sink retries") == 1
