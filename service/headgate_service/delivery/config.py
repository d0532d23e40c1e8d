"""What a forwarder is given at its start."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headgate_service.model.sink import SinkSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A forwarder's configuration. Times are in seconds.

    `owner`: a name under which at most one forwarder runs at a time, so that its next life takes the leases of its
    last one at once; None: a random one, and the leases of a killed forwarder run out first. `plugins` are loaded for
    their hooks, besides those of the sinks. `plugin_environment` are variables that plugins'
    processes get. `environment` is where `env:` secrets are looked up. `config_version` is written into each sealed
    batch. `lease`: a shard whose holder died is taken over within this time and a second.
    `ready_poll`: the ready sets are read at least this often, and `scan`: all cursors are compared with the log.
    `pause`: a sink that a person must mend is tried again this often.
    `backlog_bytes`: what a sink whose `when_full` is expire may leave unsettled of one project, in payload bytes.
    `keep_seconds`, `keep_bytes`: how long, and in all how many payload bytes, settled entries are kept; each project
    may keep an equal share of the bytes. `dead_letter_bytes`: how many bytes of dead letters a project keeps of one
    sink, and `dead_letter_total_bytes` all projects of all sinks. `drain`: how long running writes may take to end
    after SIGTERM. `metrics_port` None: no metrics are served.
    `isolate`: third-party sinks run in processes of their own; False only in tests that look into one. `plugin_load`:
    how long such a process may take to load its plugin. `plugin_silence`: how long its event loop may stand still.
    `store_url`: the store that replays may read; None: there is none.
    """

    redis_url: str = field(repr=False)
    data_dir: Path
    sinks: tuple[SinkSpec, ...]
    plugins: tuple[str, ...] = ()
    plugin_environment: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    owner: str | None = None
    config_version: int = 1
    redis_deadline: float = 5.0
    lease: float = 9.0
    ready_poll: float = 1.0
    scan: float = 30.0
    trim: float = 60.0
    backoff_first: float = 0.5
    backoff_longest: float = 60.0
    pause: float = 60.0
    expire_check: float = 10.0
    backlog_bytes: int = 256 * 1024 * 1024
    keep_seconds: float = 24 * 3600
    keep_bytes: int = 1024 * 1024 * 1024
    dead_letter_bytes: int = 16 * 1024 * 1024
    dead_letter_total_bytes: int = 128 * 1024 * 1024
    drain: float = 10.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    isolate: bool = True
    plugin_load: float = 60.0
    plugin_silence: float = 30.0
    store_url: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        names = [sink.name for sink in self.sinks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"each sink needs a unique name; used more than once: {', '.join(twice)}")
        if self.owner is not None and not re.fullmatch(r"[!-~]{1,100}", self.owner):
            raise ValueError("`owner` may be 1 to 100 visible ASCII characters")
