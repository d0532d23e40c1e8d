"""The log of a process: one line of key=value pairs an entry, on standard error."""

import logging
import sys

import structlog
from structlog.typing import Processor


def write_logs(process: str) -> None:
    """Send what structlog and the standard library log to standard error, marked with the process's name."""
    marked: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]

    def mark(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**entry, "process": process}

    marked.append(mark)
    rendered: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "process", "event"], drop_missing=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=marked, processors=rendered))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # A line for each request is the gateway's metrics' business, and would cost more than the request.
    logging.getLogger("uvicorn.access").disabled = True
    # It names its own parts at each start.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *marked,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
