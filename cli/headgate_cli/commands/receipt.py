"""`headgate receipt`: tells where the events of a stored request are."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import receipt_service_pb2 as receipts
from headgate.v1.receipt_service_pb2_grpc import ReceiptServiceStub

from headgate_cli.api.admin_socket import CALL_SECONDS, AsJson, admin_channel
from headgate_cli.api.reach import OperatorDir, SocketApi, reach
from headgate_cli.output import say

COLUMNS = ("pending", "delivered", "filtered", "dead")


def receipt(
    receipt_id: Annotated[str, typer.Argument(metavar="ID", help="The answer's Headgate-Receipt header.")],
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Show where the events of a stored request are, sink by sink."""
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        with admin_channel(way.data_dir) as channel:
            answer: receipts.GetReceiptResponse = ReceiptServiceStub(channel).GetReceipt(
                receipts.GetReceiptRequest(receipt=receipt_id), timeout=CALL_SECONDS
            )
        shown = receipt_json(answer)
    else:
        shown = way.get(f"/v1/receipts/{quote(receipt_id, safe='')}")
    say(json.dumps(shown) if as_json else "\n".join(receipt_lines(shown)))


def receipt_json(answer: receipts.GetReceiptResponse) -> dict[str, Any]:
    """The receipt as JSON, as the HTTP API words it."""
    lost = {"logLostAt": _rfc3339(answer.log_lost_time)} if answer.HasField("log_lost_time") else {}
    return {
        "receipt": answer.receipt,
        "received": answer.received,
        "accepted": answer.accepted,
        "duplicate": answer.duplicate,
        "dropped": answer.dropped,
        "refused": answer.refused,
        "durable": answer.durable,
        "receivedAt": _rfc3339(answer.receive_time) if answer.HasField("receive_time") else None,
        "sinks": [
            ({"sink": row.sink} if row.sink else {})
            | {column: getattr(row, column) for column in COLUMNS}
            | ({"notTracked": row.not_tracked} if row.not_tracked else {})
            for row in answer.sinks
        ],
        **lost,
    }


def receipt_lines(shown: dict[str, Any]) -> list[str]:
    """The receipt as a person reads it."""
    counts = ", ".join(f"{shown[name]} {name}" for name in ("accepted", "duplicate", "dropped", "refused"))
    lines = [
        f"Receipt {shown['receipt']}",
        f"  {shown['received']} received at {shown['receivedAt'] or 'an unknown time'}: {counts}",
        f"  {'durable' if shown['durable'] else 'not durable'}",
    ]
    if "logLostAt" in shown:
        lines.append(f"  the log that held it was lost (found at {shown['logLostAt']}): its state is unknown")
    if shown["sinks"]:
        width = max(len("sink"), *(len(row.get("sink", "")) for row in shown["sinks"])) + 2
        lines.append("  " + "sink".ljust(width) + "".join(column.rjust(11) for column in COLUMNS))
        lines += [
            "  "
            + row.get("sink", "").ljust(width)
            + "".join(str(row[column]).rjust(11) for column in COLUMNS)
            + (f"   and {row['notTracked']} that are not tracked" if "notTracked" in row else "")
            for row in shown["sinks"]
        ]
    return lines


def _rfc3339(time: Timestamp) -> str:
    moment = time.ToDatetime()
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
