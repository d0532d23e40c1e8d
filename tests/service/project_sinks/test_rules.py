"""What a tenant's own sink may say, and what is told of one that says more."""

import re
from pathlib import Path
from typing import Any

import pytest
from headgate_service.config import ProjectSinkRules
from headgate_service.errors import PolicyInvalid
from headgate_service.failure import Fault
from headgate_service.policy.compiled_config import CompiledConfig
from headgate_service.policy.headgate_yaml import compile_yaml
from headgate_service.project_sinks.rules import project_sink_faults, running_settings
from pydantic import SecretStr

SECRET = "whsec_" + "c2VjcmV0" * 4
HASH = {"$hash": "0123456789abcdef" * 2}
SINK = {
    "name": "orders",
    "use": "webhook",
    "route": 'event.name == "purchase"',
    "fields": {"exclude": ["user_id"]},
    "config": {"url": "https://example.com/hook"},
    "secrets": {"secret": SECRET, "headers": {"Authorization": "Bearer opensesame"}},
}


def faults(*sinks: Any, **rules: Any) -> list[Fault]:
    try:
        read = CompiledConfig.read({"formatVersion": 1, "sinks": list(sinks)})
    except PolicyInvalid as error:
        return list(error.faults)
    return project_sink_faults(read.sinks, ProjectSinkRules(**rules))


def places(*sinks: Any, **rules: Any) -> list[str]:
    return [fault.path for fault in faults(*sinks, **rules)]


def to(url: str) -> dict[str, Any]:
    return {**SINK, "config": {"url": url}}


def keeping(secret: Any, **more: Any) -> dict[str, Any]:
    return {**SINK, "secrets": {"secret": secret, **more}}


def test_a_sink_that_asks_for_nothing_special_has_no_faults():
    assert faults(SINK, {**SINK, "name": "orders-2"}) == []
    assert faults(keeping([SECRET, HASH])) == []
    assert faults({"name": "p", "use": "posthog", "config": {"host": "https://eu.i.posthog.com"},
                   "secrets": {"api_key": "phc_x"}}, kinds=frozenset({"posthog"})) == []  # fmt: skip


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": "Orders"}, "name"),
        ({"name": "shop/orders"}, "name"),
        ({"use": "jsonl"}, "use"),
        ({"use": "posthog"}, "use"),
        ({"route": "event.nam == 1"}, "route"),
        ({"route": '"text"'}, "route"),
        ({"route": "properties.list.all(x, properties.list.exists(y, x == y))"}, "route"),
        ({"route": "properties.list.\n//\n map (x, x).size() > 1"}, "route"),
        ({"route": 'r"\\" == "" && properties.list.all(x, x == "")'}, "route"),
        ({"route": '"""\\"""" == "" || properties.list.all(x, x == "")'}, "route"),
        ({"route": " || ".join(["properties.s.matches(properties.p)"] * 25)}, "route"),
        ({"route": "true" + " || true" * 200}, "route"),
        ({"fields": {"include": ["nothing"]}}, "fields"),
        ({"whenFull": "drop"}, "whenFull"),
        ({"enabled": True}, "enabled"),
        ({"config": {}}, "config/url"),
        ({"config": {"url": "https://e.example", "allow_private": True}}, "config/allow_private"),
        ({"config": {"url": "https://e.example", "allow_private": None}}, "config/allow_private"),
        ({"config": {"url": "https://e.example", "timeout": 61}}, "config/timeout"),
        ({"config": {"url": "https://e.example", "timeout": "61"}}, "config/timeout"),
        ({"config": {"url": "https://e.example", "max_bytes": 1 << 21}}, "config/max_bytes"),
        ({"config": {"url": "https://e.example", "max_events": 1001}}, "config/max_events"),
        ({"config": {"url": "https://e.example", "note": "x"}}, "config/note"),
        ({"config": {"url": "https://e.example/" + "x" * 16384}}, "config"),
        ({"config": {"url": "https://e.example", "headers": {"a": "b"}}}, "config/headers"),
        ({"secrets": {}}, "secrets/secret"),
        ({"secrets": {"secret": "env:HOME"}}, "secrets/secret"),
        ({"secrets": {"secret": SECRET, "headers": {"X-Key": "file:/etc/passwd"}}}, "secrets/headers/X-Key"),
        ({"secrets": {"secret": [SECRET, "env:HOME"]}}, "secrets/secret/1"),
        ({"secrets": {"secret": "short"}}, "secrets/secret"),
        ({"secrets": {"secret": "**********"}}, "secrets/secret"),
        ({"secrets": {"secret": 7}}, "secrets/secret"),
        ({"secrets": {"secret": {"$hash": "no"}}}, "secrets/secret"),
        ({"secrets": {"secret": SECRET, "headers": {"Host": "inside"}}}, "secrets/headers"),
        ({"secrets": {"secret": SECRET, "headers": {"A": "b\r\nHost: inside"}}}, "secrets/headers/A"),
        ({"secrets": {"secret": SECRET, "url": "https://e.example"}}, "secrets/url"),
    ],
)
def test_what_a_tenant_may_not_say_is_named_by_its_place(change: dict[str, Any], place: str):
    assert places({**SINK, **change}) == [f"/sinks/0/{place}"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "db.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1",
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.1.2.3", "224.0.0.1",
        "[::1]", "[::]", "[fd00::1]", "[fe80::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    ],
)  # fmt: skip
def test_no_url_leads_into_the_operators_network(host: str):
    assert places(to(f"http://{host}:8080/hook")) == ["/sinks/0/config/url"]


def test_an_operator_may_open_private_addresses_and_never_a_clouds_metadata():
    assert faults(to("http://127.0.0.1:9000/"), allow_private=True) == []
    assert faults(to("http://localhost:9000/"), allow_private=True) == []
    assert places(to("http://169.254.169.254/"), allow_private=True) == ["/sinks/0/config/url"]


@pytest.mark.parametrize(
    "route",
    ['"x" in properties.list', "event.name == \"exists(\" || event.name == 'all(' // map(", "has(properties.map)"],
)
def test_a_route_may_say_whatever_takes_no_loop(route: str):
    assert faults({**SINK, "route": route}) == []


def test_names_are_given_once_and_there_are_at_most_ten():
    assert places(SINK, {**SINK, "name": "other"}, SINK) == ["/sinks/2/name"]
    assert places(*({**SINK, "name": f"s{number}"} for number in range(11))) == ["/sinks"]


def test_an_operator_cannot_list_a_sink_that_reads_files():
    with pytest.raises(ValueError, match="jsonl: no sink that projects may be let use"):
        ProjectSinkRules(kinds=frozenset({"webhook", "jsonl"}))


def test_secrets_are_in_no_fault_and_in_nothing_that_is_kept_or_printed():
    read = CompiledConfig.read({"formatVersion": 1, "sinks": [SINK]})
    told = [str(read), repr(read.sinks), str(read.canonical())]
    told += [str(fault) for fault in faults({**keeping("whsec_opensesame"), "config": {"url": "http://opensesame:x"}})]
    assert not [text for text in told if "opensesame" in text.replace("http://opensesame", "")]


def test_what_runs_is_bounded_and_cannot_open_private_addresses():
    (sink,) = CompiledConfig.read({"formatVersion": 1, "sinks": [keeping([SECRET, HASH])]}).sinks

    def reveal(secret: Any) -> str:
        return secret.get_secret_value() if isinstance(secret, SecretStr) else "old"

    assert running_settings(sink, ProjectSinkRules(), reveal) == {
        "url": "https://example.com/hook", "secret": (SECRET, "old"), "max_bytes": 262144, "allow_private": False,
    }  # fmt: skip


def test_the_example_of_the_guide_may_be_deployed():
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "project-sinks.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert example
    compiled = compile_yaml(example[1], lambda name: "", {"ORDERS_HOOK_SECRET": SECRET})
    assert project_sink_faults(compiled.sinks, ProjectSinkRules()) == []
