"""The statements for a cluster, as far as the embedded engine can try them: it reads them all, and makes what they make
where there is no cluster."""

import re
from functools import partial

import pytest
from headgate_service.store.client import written
from headgate_service.store.cluster_ddl import LOCAL, cluster_ddl
from headgate_service.store.engine import Engine
from headgate_service.store.schema import MIGRATIONS, migrate

COLUMNS = (
    "SELECT name, type, default_kind, default_expression, compression_codec FROM system.columns"
    " WHERE database = {database:String} AND table = {table:String} ORDER BY position"
)
TABLES = ("headgate_migrations", "headgate_retention", "headgate_erased", "headgate_settled_parts")


@pytest.mark.parametrize("sharded", [False, True])
def test_the_engine_reads_each_statement(store_engine: Engine, sharded: bool):
    for statement in cluster_ddl("it's", replicas=3, sharded=sharded):
        asked = store_engine.query("SELECT formatQuerySingleLine({q:String})", {"q": written(statement)}, form="TSVRaw")
        assert ("ON CLUSTER `it's`" in asked.decode()) is not statement.startswith("INSERT"), asked


@pytest.mark.parametrize("sharded", [False, True])
def test_the_tables_are_those_of_the_embedded_store(store_engine: Engine, sharded: bool):
    events = LOCAL if sharded else "events"
    for database in ("alone", "clustered"):
        store_engine.query(f"CREATE DATABASE {database}")
    run = partial(store_engine.query, database="clustered")
    try:
        migrate(partial(store_engine.query, database="alone"))
        for statement in cluster_ddl("c", replicas=2, sharded=sharded):
            if "PROFILE" in statement or "Distributed" in statement:
                continue
            one = re.sub(r"Replicated(\w*)MergeTree\('[^']*', '[^']*'(?:, )?", r"\1MergeTree(", statement)
            one = one.replace("ON CLUSTER 'c'", "").replace(" replicated_dedup", " non_replicated_dedup")
            run(one)
        # It counts as made: a service that starts changes nothing.
        assert migrate(run) == 0
        for ours, theirs in ((events, "events"), *((one, one) for one in TABLES)):
            asked = [
                store_engine.query(COLUMNS, {"database": database, "table": table})
                for database, table in (("clustered", ours), ("alone", theirs))
            ]
            assert asked[0] == asked[1]
    finally:
        for database in ("alone", "clustered"):
            store_engine.query(f"DROP DATABASE {database}")


def test_what_replicas_need_to_answer_what_was_written_stands_in_the_profile():
    *_, marked, profile = cluster_ddl("c", replicas=2, sharded=False)
    assert marked.endswith(f"VALUES ({MIGRATIONS[-1].number})")
    for setting in ("insert_quorum = 2", "insert_quorum_parallel = 0", "select_sequential_consistency = 1"):
        assert setting in profile


def test_each_table_is_replicated_and_only_events_are_sharded():
    said = "\n".join(cluster_ddl("c", replicas=2, sharded=True))
    assert not re.search(r"ENGINE = (Replacing)?MergeTree", said)
    assert re.findall(r"/clickhouse/tables/\{shard\}", said) == ["/clickhouse/tables/{shard}"]
    assert said.count("'{shard}-{replica}'") == len(TABLES)
    assert (
        "ReplicatedReplacingMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}', since)" in said
    )
    assert "Distributed('c', currentDatabase(), events_local, cityHash64(project_id, distinct_id))" in said
    assert "non_replicated" not in said
