"""What a dry run's answer says beside the success body."""

from collections.abc import Sequence
from typing import Any

from headgate.v1 import ingest_service_pb2, outcome_pb2

from headgate_gateway.dialects.dialect import Fault, Rejection, Unparsable
from headgate_gateway.event_json import event_json

_YES = frozenset({"1", "true"})
_NO = frozenset({"", "0", "false"})


def asks_dry_run(value: str) -> bool:
    """Read the header Headgate-Dry-Run; what is neither yes nor no is Unparsable.

    To take an unknown word for a no would store events that their sender wanted only to try out.
    """
    word = value.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise Unparsable(Rejection.INVALID, (Fault(None, "Headgate-Dry-Run", "must be 1 or 0"),))


def dry_run_report(answer: ingest_service_pb2.GatheredAnswer, places: Sequence[int] = ()) -> dict[str, Any]:
    """The canonical events, how many of them a quota would count, the sinks where the service names them, and what the
    project's policy drops, refuses or warns of, by the events' places in the request (`places`; empty: their own)."""
    # The service shows what it would store, and a quota counts just that.
    events = answer.dry_run_events
    report: dict[str, Any] = {"events": [event_json(event) for event in events], "quota": len(events)}
    if answer.dry_run_sinks:
        report["sinks"] = list(answer.dry_run_sinks)
    for name, told in (("dropped", _dropped), ("refused", _refused), ("warnings", _warnings)):
        if rows := [row for result in answer.response.results if (row := told(result, places))]:
            report[name] = rows
    return report


def _dropped(result: outcome_pb2.EventResult, places: Sequence[int]) -> dict[str, Any]:
    if result.outcome != outcome_pb2.OUTCOME_DROPPED:
        return {}
    reason = outcome_pb2.Reason.Name(result.reason).removeprefix("REASON_").lower()
    return {"index": _place(result, places), "reason": reason}


def _refused(result: outcome_pb2.EventResult, places: Sequence[int]) -> dict[str, Any]:
    if result.outcome != outcome_pb2.OUTCOME_REFUSED:
        return {}
    return {"index": _place(result, places), "field": result.field, "message": result.message}


def _warnings(result: outcome_pb2.EventResult, places: Sequence[int]) -> dict[str, Any]:
    return {"index": _place(result, places), "messages": list(result.warnings)} if result.warnings else {}


def _place(result: outcome_pb2.EventResult, places: Sequence[int]) -> int:
    return places[result.index] if places else result.index
