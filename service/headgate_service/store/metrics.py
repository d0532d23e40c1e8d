"""What a store process measures."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from headgate_service.store.runner import Job, Runner

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class StoreMetrics:
    """The metrics of one store, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        kind = ["kind"]
        self._statements = Counter(
            "headgate_store_statements", "Statements that were begun: `insert` or `query`.", kind, registry=registry
        )
        self._errors = Counter(
            "headgate_store_errors",
            "Statements that were refused or failed, by ClickHouse's number of the error.",
            ["code"],
            registry=registry,
        )
        self._rows = Counter("headgate_store_written_rows", "Rows that inserts wrote.", registry=registry)
        self._seconds = Histogram(
            "headgate_store_statement_seconds",
            "Time that the engine took for a statement, in seconds.",
            kind,
            buckets=_SECONDS,
            registry=registry,
        )
        self._inside = Gauge(
            "headgate_store_waiting_statements",
            "Statements that run or wait for their turn.",
            kind,
            registry=registry,
        )

    def watch(self, runner: Runner) -> None:
        """Shows what it has to do."""
        self._inside.labels("query").set_function(lambda: runner.queries.inside)
        self._inside.labels("insert").set_function(lambda: runner.inserts.inside)

    def begun(self, job: Job) -> None:
        self._statements.labels(_kind(job)).inc()

    def done(self, job: Job) -> None:
        self._rows.inc(job.counts.written_rows)
        self._seconds.labels(_kind(job)).observe(job.counts.seconds)

    def failed(self, job: Job, code: int) -> None:
        self._errors.labels(code).inc()

    def refused(self, code: int) -> None:
        self._errors.labels(code).inc()


def _kind(job: Job) -> str:
    return "query" if job.rows is None else "insert"
