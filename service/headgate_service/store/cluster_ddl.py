"""The statements that make the store's tables on a cluster of ClickHouse servers, out of the migrations."""

import re

from headgate_service.store.schema import MIGRATIONS, MIGRATIONS_TABLE, PREPARE, TABLE

LOCAL = f"{TABLE}_local"
SHARDING_KEY = "cityHash64(project_id, distinct_id)"
PROFILE = "headgate_cluster"

# Every server has these whole, whatever its shard: their path names no shard, and their replica's name does.
_EVERYWHERE = "'/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}'"
_SHARDED = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
_CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
_ALTER = re.compile(r"ALTER TABLE (\w+)")
_ENGINE = re.compile(r"ENGINE = (\w*)MergeTree(?:\(([^)]*)\))?")


def cluster_ddl(cluster: str, *, replicas: int, sharded: bool) -> list[str]:
    """In order, without semicolons. `cluster` is its name in the servers' configuration. An insert is on so many
    `replicas` before it is answered. `sharded`: the events are spread over the cluster's shards."""
    on = f"ON CLUSTER {_quoted(cluster)}"
    said = [_placed(PREPARE, on, sharded)]
    said += [_placed(statement, on, sharded) for migration in MIGRATIONS for statement in migration.statements]
    if sharded:
        # `currentDatabase()` is that of the connection, on each server.
        said.append(
            f"CREATE TABLE IF NOT EXISTS {TABLE} {on} AS {LOCAL}"
            f" ENGINE = Distributed({_quoted(cluster)}, currentDatabase(), {LOCAL}, {SHARDING_KEY})"
        )
    said += [
        f"INSERT INTO {MIGRATIONS_TABLE} (number) VALUES ({MIGRATIONS[-1].number})",  # noqa: S608 (a number of ours)
        f"CREATE SETTINGS PROFILE IF NOT EXISTS {PROFILE} {on} SETTINGS insert_quorum = {replicas},"
        " insert_quorum_parallel = 0, select_sequential_consistency = 1, distributed_foreground_insert = 1,"
        " mutations_sync = 2",
    ]
    return said


def _placed(statement: str, on: str, sharded: bool) -> str:
    def named(found: re.Match[str]) -> str:
        table = LOCAL if sharded and found[1] == TABLE else found[1]
        return f"{found[0].removesuffix(found[1])}{table} {on}"

    def replicated(found: re.Match[str]) -> str:
        more = f", {found[2]}" if found[2] else ""
        return f"ENGINE = Replicated{found[1]}MergeTree({path}{more})"

    made = _CREATE.search(statement)
    path = _SHARDED if sharded and made and made[1] == TABLE else _EVERYWHERE
    placed = _ALTER.sub(named, _CREATE.sub(named, statement.strip()))
    return _ENGINE.sub(replicated, placed).replace("non_replicated_dedup", "replicated_dedup")


def _quoted(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
