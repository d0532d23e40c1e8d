"""The command: picks rows, measures them round by round, prints a table and writes JSON."""

import argparse
import fnmatch
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from redis.exceptions import RedisError

from bench import arriving_rows, compared_rows, forwarding_rows, growth_rows, ingest_rows, query_rows, resting_rows
from bench.cores import Cores
from bench.pauses import pauses
from bench.row import Row, Void
from bench.server import NotStarted
from bench.stage import Stage
from bench.table import Results, machine


def main() -> int:
    """0 where every chosen row was measured, 1 where one is void or was not reached."""
    arguments = _arguments()
    os.sched_setaffinity(0, _numbers(arguments.load_cores))
    stage = Stage(Cores(arguments.server_cores, arguments.load_cores), arguments.seconds)
    rows = _chosen(_all_rows(stage, arguments), arguments.rows)
    if arguments.list:
        print("\n".join(f"{row.id}: {row.title}" for row in rows))
        return 0
    if not rows:
        raise SystemExit(f"no row is called {' or '.join(arguments.rows)}: --list names them")
    about = machine()
    about["pauses of the machine"] = pauses(sorted(_numbers(arguments.server_cores) | _numbers(arguments.load_cores)))
    about["command"] = f"python -m bench {' '.join(sys.argv[1:])}"
    results = Results(rows)
    # Also where it runs in the background, which ignores the one, and where it is ended from outside.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        measure(results, arguments.rounds, time.monotonic() + arguments.minutes * 60)
    except KeyboardInterrupt:
        print("stopped: what follows is from the rounds so far", file=sys.stderr)
    finally:
        # Whatever ended it: what was measured is not lost.
        stage.close()
        print("\n".join(f"{name}: {value}" for name, value in about.items()))
        print(f"\n{results.markdown()}")
        if arguments.json:
            arguments.json.write_text(json.dumps(results.as_json(about), indent=2) + "\n")
    return 0 if all(row.id in results.rounds and row.id not in results.void for row in rows) else 1


def measure(results: Results, rounds: int, ends: float) -> None:
    """Every row once a round, every other round from the last to the first, until the rounds or the time are over.

    A row that is void once is measured no more.
    """
    for number in range(1, rounds + 1):
        for row in results.rows if number % 2 else results.rows[::-1]:
            if row.id in results.void or number > row.rounds:
                continue
            if time.monotonic() > ends:
                return
            # What the row before has written would go to the disk during this one, and each fsync would wait for it.
            os.sync()
            began = time.monotonic()
            try:
                results.rounds.setdefault(row.id, []).append(row.measure())
            except (Void, NotStarted, OSError, RedisError, subprocess.SubprocessError) as error:
                results.void[row.id] = str(error)
            said = results.void.get(row.id, "ok")
            print(f"round {number}, {row.id}: {said}, {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def _all_rows(stage: Stage, arguments: argparse.Namespace) -> list[Row]:
    return [
        *ingest_rows.rows(stage),
        *compared_rows.rows(stage),
        *forwarding_rows.rows(stage, arguments.backlog),
        *growth_rows.rows(stage, arguments.backlog, arguments.ids),
        *resting_rows.rows(stage, arguments.backlog),
        *query_rows.rows(stage, arguments.stored),
        *arriving_rows.rows(stage, arguments.stored),
    ]


def _chosen(rows: Sequence[Row], patterns: Sequence[str]) -> list[Row]:
    return [row for row in rows if any(fnmatch.fnmatch(row.id, pattern) for pattern in patterns)]


def _numbers(cores: str) -> set[int]:
    found: set[int] = set()
    for part in cores.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measures Headgate, its peers and its ceilings."
    )
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="GLOB", help="rows to measure, as 'peers/*' (all)")
    parser.add_argument("--list", action="store_true", help="name the rows and measure nothing")
    parser.add_argument("--rounds", type=int, default=5, help="medians are of so many rounds (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="each load lasts so long (3)")
    parser.add_argument("--minutes", type=float, default=60.0, help="start no further row after so long (60)")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="events in the rows with a backlog (1000000)")
    parser.add_argument("--ids", type=int, default=1_000_000, help="ids in the full dedup window (1000000)")
    parser.add_argument("--stored", type=int, default=10_000_000, help="events in the store of queries (10000000)")
    parser.add_argument("--server-cores", default="0", metavar="LIST", help="cores of what is measured (0)")
    parser.add_argument("--load-cores", default="1", metavar="LIST", help="cores of the load (1)")
    parser.add_argument("--json", type=Path, help="where to write everything that was measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
