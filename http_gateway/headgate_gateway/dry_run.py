"""What a dry run's answer says beside the success body."""

from typing import Any

from headgate.v1 import ingest_service_pb2

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


def dry_run_report(answer: ingest_service_pb2.GatheredAnswer) -> dict[str, Any]:
    """The canonical events, how many of them a quota would count, and the sinks where the service names them."""
    # The service shows what it would store, and a quota counts just that.
    events = answer.dry_run_events
    report: dict[str, Any] = {"events": [event_json(event) for event in events], "quota": len(events)}
    if answer.dry_run_sinks:
        report["sinks"] = list(answer.dry_run_sinks)
    return report
