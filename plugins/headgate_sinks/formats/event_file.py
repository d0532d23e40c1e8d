"""A batch as one file: JSON lines, compressed or not, or Parquet. The same batch is always the same bytes."""

import gzip
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headgate.v1 import event_pb2

from headgate_sinks.formats.event_json import event_lines
from headgate_sinks.formats.event_row import COLUMNS, event_row

FileFormat = Literal["jsonl", "jsonl.gz", "parquet"]

Events = Sequence[event_pb2.Event]


@dataclass(frozen=True, slots=True)
class EventFile:
    """How events become a file: `encode` takes a while, and belongs into a thread."""

    suffix: str
    content_type: str
    encode: Callable[[Events], bytes]


def event_file(file_format: FileFormat) -> EventFile:
    """The form of files of that name. Raises ImportError where pyarrow is wanted and not installed."""
    if file_format == "parquet":
        schema = _schema()
        return EventFile("parquet", "application/vnd.apache.parquet", lambda events: _parquet(events, schema))
    return _LINES[file_format]


def _lines(events: Events) -> bytes:
    return event_lines(events)


def _compressed(events: Events) -> bytes:
    # The time of writing is in gzip's header unless another is given.
    return gzip.compress(_lines(events), compresslevel=6, mtime=0)


_LINES = {
    "jsonl": EventFile("jsonl", "application/x-ndjson", _lines),
    "jsonl.gz": EventFile("jsonl.gz", "application/gzip", _compressed),
}


def _schema() -> Any:
    import pyarrow

    types = {
        "text": pyarrow.string(),
        "time": pyarrow.timestamp("us", tz="UTC"),
        "flag": pyarrow.bool_(),
        "number": pyarrow.float64(),
        "json": pyarrow.string(),
    }
    return pyarrow.schema(
        [pyarrow.field(column.name, types[column.kind], nullable=column.nullable) for column in COLUMNS]
    )


def _parquet(events: Events, schema: Any) -> bytes:
    import pyarrow
    from pyarrow import parquet

    values = zip(*map(event_row, events), strict=True)
    arrays = [pyarrow.array(column, type=field.type) for column, field in zip(values, schema, strict=True)]
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), file, compression="zstd")
    return file.getvalue()
