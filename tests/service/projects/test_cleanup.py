from headgate_service.projects.cleanup import DELETE, SETTINGS
from headgate_service.store.engine import Engine


def test_only_the_projects_events_are_deleted(store_engine: Engine) -> None:
    store_engine.query("INSERT INTO events (project_id, event) VALUES ('prj_a', 'x'), ('prj_b', 'y'), ('prj_a', 'z')")
    for _ in range(2):
        store_engine.query(DELETE, {"project": "prj_a"}, SETTINGS)
    assert store_engine.query("SELECT project_id, event FROM events") == b"prj_b\ty\n"
