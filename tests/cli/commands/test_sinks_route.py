"""`route` in headgate.toml, and `headgate sinks route`."""

import json

import pytest
from headgate_cli.main import app
from headgate_cli.settings.reader import SettingsInvalid, read_settings
from typer.testing import CliRunner

EVENT = {"name": "purchase", "userId": "u1", "page": {"path": "/shop"}, "properties": {"amount": 149.5}}
SETTINGS = """
[[sinks]]
name = "large"
use = "webhook"
route = 'event.name == "purchase" && properties.amount > 100.0'

[[sinks]]
name = "leads"
use = "webhook"
projects = ["shop"]
route = "properties.lead"

[[sinks]]
name = "signups"
use = "webhook"
route = "event.name == 'sign_up'"
"""


@pytest.fixture
def explain(tmp_path):
    def run(event, *arguments):
        (tmp_path / "headgate.toml").write_text(SETTINGS)
        (tmp_path / "event.json").write_text(event if isinstance(event, str) else json.dumps(event))
        files = ("--explain", str(tmp_path / "event.json"), "--config", str(tmp_path / "headgate.toml"))
        return CliRunner().invoke(app, ["sinks", "route", *files, *arguments])

    return run


def test_each_sink_is_told_with_the_reason(explain):
    rows = {row["sink"]: row for row in json.loads(explain(EVENT, "--json").stdout)}
    assert {name: row["reached"] for name, row in rows.items()} == {
        "jsonl": True,
        "large": True,
        "leads": False,
        "signups": False,
    }
    assert "no route" in rows["jsonl"]["why"]
    assert '"lead"' in rows["leads"]["why"]
    assert rows["signups"]["why"].startswith("its route is false")
    lines = explain(EVENT).stdout.splitlines()
    assert lines[3].split()[:2] == ["signups", "not"]


@pytest.mark.parametrize("event", ["[]", "{", '{"nmae": "x"}', '{"properties": 1}'])
def test_what_is_no_event_is_refused(explain, event):
    answer = explain(event)
    assert answer.exit_code == 1
    assert "event.json" in answer.stderr


def test_a_wrong_route_stops_the_start_with_the_sink_and_the_place(tmp_path):
    file = tmp_path / "headgate.toml"
    file.write_text(SETTINGS.replace("sign_up'", "sign_up' && event.usr_id != ''"))
    with pytest.raises(SettingsInvalid) as caught:
        read_settings(file, {})
    assert "sinks.2" in str(caught.value)
    assert "the sink 'signups': column 33: undefined field 'usr_id'" in str(caught.value)
