"""Overview: is anything wrong, and since when?"""

import asyncio
import calendar
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from headgate_gateway.app_api.caller import Failure
from headgate_gateway.app_api.delivery import LIST_SINKS
from headgate_gateway.app_api.query import QUERY
from headgate_gateway.app_api.usage import GET_USAGE
from headgate_gateway.web.page import Answer, Here, View
from headgate_gateway.web.plot import Plot, Series, plot_of

# Why events are refused or dropped, and what to do.
_REASONS = {
    "INVALID": "A field is missing, of the wrong type or out of its range.",
    "TOO_LARGE": "The request or an event is over the limits on size.",
    "BATCH_REFUSED": "Another event of the request was not acceptable, and its API takes all or nothing.",
    "SCHEMA": "It does not fit the schema that the project's policy enforces.",
    "NOT_AN_OBJECT": "An element of the array of events is not a JSON object.",
    "SAMPLED": "The policy keeps a share of users' events, and this user is not in it.",
    "SWITCHED_OFF": "The policy switches events of this name off.",
    "IGNORED_ENVIRONMENT": "It comes from an environment that the policy ignores.",
    "ORIGIN_FORBIDDEN": "The project's policy does not allow the page's origin.",
    "IDEMPOTENCY_MISMATCH": "The idempotency key was used for another body: use a new key.",
    "RATE_LIMITED": "Too many requests in the window: the client should wait as Retry-After says.",
    "QUOTA_EXCEEDED": "The events do not fit in the month's limit.",
    "UNAVAILABLE": "Not confirmed: the client retries.",
}


MINUTES = 60
DAY_HOURS = 24
_LATE_SECONDS = 60
_QUOTA_WARNING = 0.8
_WRONG = {"retrying": "warn", "paused": "warn", "broken": "bad", "disabled": "note"}


async def overview(here: Here) -> Answer:
    """The page."""
    now = datetime.now(UTC)
    since = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=DAY_HOURS - 1)
    usage, sinks, minutes = await asyncio.gather(
        here.visit.ask(GET_USAGE, here.path, {"by": "hour", "from": _iso(since)}),
        here.visit.ask(LIST_SINKS, here.path),
        _by_minute(here, now),
    )
    rows = sinks["sinks"]
    totals = _totals(usage["ledger"])
    quota = forecast(usage, now)
    return View(
        "overview.html",
        {
            "page": "overview",
            "findings": findings(rows, quota, here),
            "totals": totals,
            "reasons": _reasons(usage["ledger"]),
            "quota": quota,
            "usage": usage,
            "sinks": rows,
            "balance": _balance(totals, rows),
            "minutes": minutes,
            "hours": _hours(usage["ledger"], now),
            "base_url": here.visit.base_url,
            "now": _iso(now),
        },
    )


async def _by_minute(here: Here, now: datetime) -> Plot | None:
    """Events a minute by API; None where no store answers."""
    end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    start = end - timedelta(minutes=MINUTES)
    query = {
        "type": "timeseries",
        "projectId": here.slug,
        "event": "*",
        "dateRange": {"start": _iso(start), "end": _iso(end), "timezone": "UTC"},
        "interval": "minute",
        "breakdown": {"key": "$api", "limit": 6},
        "includeTest": True,
    }
    try:
        answer = await here.visit.ask(QUERY, body=query)
    except Failure:
        return None
    return plot_of(answer)


def findings(rows: Sequence[Mapping[str, Any]], quota: Mapping[str, Any] | None, here: Here) -> list[dict[str, Any]]:
    """What a person should look at, the worst first. `seconds` is for how long, where that is known."""
    found: list[dict[str, Any]] = []
    for row in rows:
        one = {"href": here.url("sinks"), "seconds": row["lagSeconds"] if row["pending"] else 0}
        name, level = row["name"], _WRONG.get(row["state"])
        if row["difference"]:
            text = f"The books of sink {name} do not add up: {row['difference']:,} events are unexplained."
            found.append({**one, "level": "bad", "text": text})
        if level is not None:
            waiting = f"; {row['pending']:,} events wait" if row["pending"] else ""
            found.append({**one, "level": level, "text": f"Sink {name} is {row['state']}{waiting}."})
        elif row["pending"] and row["lagSeconds"] > _LATE_SECONDS:
            found.append({**one, "level": "warn", "text": f"Sink {name} is behind by {row['pending']:,} events."})
        if row["dead"]:
            text = f"Sink {name} has given up {row['dead']:,} events: they are dead letters."
            found.append({**one, "seconds": 0, "level": "warn", "text": text})
    if quota is not None and quota["share"] >= _QUOTA_WARNING:
        level = "bad" if quota["share"] >= 1 else "warn"
        text = f"{quota['share']:.0%} of this month's events are used."
        found.append({"level": level, "text": text, "seconds": 0, "href": here.url("keys")})
    return sorted(found, key=lambda one: ("bad", "warn", "note").index(one["level"]))


def forecast(usage: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """The month's quota, and where the month would end at this pace; None without a limit."""
    limit, used = usage["limit"], usage["used"]
    if limit is None:
        return None
    days = calendar.monthrange(now.year, now.month)[1]
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    gone = max((now - start) / timedelta(days=days), 1 / days / 24)
    return {
        "limit": limit,
        "used": used,
        "share": used / limit if limit else 1.0,
        "forecast": round(used / gone),
        "resets": _iso((start + timedelta(days=days)).replace(hour=0)),
    }


def _totals(ledger: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        **{name: sum(row[name] for row in ledger) for name in ("received", "accepted", "duplicate")},
        **{name: sum(sum(row[name].values()) for row in ledger) for name in ("dropped", "refused")},
    }


def _reasons(ledger: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in ledger:
        for kind in ("refused", "dropped"):
            for reason, events in row[kind].items():
                counts[kind, reason] += events
    most = max(counts.values(), default=1)
    return [
        {"kind": kind, "reason": reason, "told": _explain(reason), "events": events, "share": events / most}
        for (kind, reason), events in counts.most_common()
    ]


def _balance(totals: Mapping[str, int], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    explained = sum(totals[name] for name in ("accepted", "duplicate", "dropped", "refused"))
    wrong = sum(1 for row in rows if row["difference"])
    return {
        "entrance": totals["received"] - explained,
        "sinks": wrong,
        "ok": totals["received"] == explained and not wrong,
    }


def _hours(ledger: Sequence[Mapping[str, Any]], now: datetime) -> Plot:
    """A day of the ledger by the hour, hours without events too."""
    rows = {row["start"]: row for row in ledger}
    last = now.replace(minute=0, second=0, microsecond=0)
    starts = [last - timedelta(hours=back) for back in range(DAY_HOURS - 1, -1, -1)]
    found = [rows.get(_iso(start), {}) for start in starts]
    series = [
        Series("accepted", [row.get("accepted", 0) for row in found]),
        Series("refused", [sum(row.get("refused", {}).values()) for row in found]),
        Series("dropped", [sum(row.get("dropped", {}).values()) for row in found]),
        Series("duplicate", [row.get("duplicate", 0) for row in found]),
    ]
    return Plot([int(start.timestamp()) for start in starts], series, bars=True)


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _explain(reason: str) -> str:
    """A sentence; empty for a reason that is not known here."""
    return _REASONS.get(reason.upper(), "")
