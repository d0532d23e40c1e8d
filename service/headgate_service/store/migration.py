"""Brings a store up to this version's tables, through whatever runs statements on it."""

from collections.abc import Callable, Sequence

from headgate_service.store.schema import MIGRATIONS, MIGRATIONS_TABLE, Migration

Run = Callable[[str], bytes]
"""Runs a statement and gives its answer, as TabSeparated."""

_PREPARE = (
    f"CREATE TABLE IF NOT EXISTS {MIGRATIONS_TABLE} (number UInt32, applied DateTime DEFAULT now())"
    " ENGINE = MergeTree ORDER BY number SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
)


def migrate(run: Run, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Runs what the store lacks, and returns how many migrations that were. Any number of processes may do so at once.

    Raises what `run` raises.
    """
    run(_PREPARE)
    answer = run(f"SELECT max(number) FROM {MIGRATIONS_TABLE} FORMAT TabSeparated")  # noqa: S608 (a constant)
    lacking = [migration for migration in migrations if migration.number > int(answer)]
    for migration in lacking:
        for statement in migration.statements:
            run(statement)
        run(f"INSERT INTO {MIGRATIONS_TABLE} (number) VALUES ({migration.number})")  # noqa: S608 (a number of ours)
    return len(lacking)
