"""How dialects are found: built-in ones and plugins alike, and none that is broken harms another."""

import sys
import types
from typing import Any

import pytest
from headgate_cli.commands.dialects import package
from headgate_dialects.host import built_in, load

NAMES = ("codcompass", "prompting_company", "realanalytics", "xaiku")
ACME = package("acme")["src/headgate_dialect_acme/dialect.py"]


class Point:
    """An entry point whose module is made of a text when it is loaded."""

    dist = None

    def __init__(self, text: str, value: str = "plugin_of_a_test") -> None:
        self.text, self.value = text, value

    def load(self) -> Any:
        module = types.ModuleType(self.value)
        sys.modules[self.value] = module
        try:
            exec(self.text, module.__dict__)  # noqa: S102 - a plugin of this test
        finally:
            del sys.modules[self.value]
        return module


def loaded_with(*points: Point):
    return load(["acme"], lambda name: points)


def test_the_documented_apis_come_with_headgate():
    assert set(NAMES) <= {dialect.api.name for dialect in built_in()}


def test_a_plugin_is_served_beside_them():
    loaded = loaded_with(Point(ACME))
    assert not loaded.broken
    assert [one.api.name for one in loaded.dialects][-1] == "acme"
    assert loaded.plugins["acme"] == "acme"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("/acme/events", "/api/v1/analytics", "is one of the dialect 'xaiku'"),
        ("/acme/events", "/v1/receipts", "is Headgate's own"),
        ("/acme/events", "/api/query", "is Headgate's own"),
        ("/acme/events", "/metrics", "is Headgate's own"),
        ("/acme/events", "acme", "not a path of plain segments"),
        ('"acme", "Acme"', '"xaiku", "Acme"', "the name 'xaiku' is taken"),
        ('"acme", "Acme"', '"grpc", "Acme"', "the name 'grpc' is taken"),
        ('"acme", "Acme"', '"Acme", "Acme"', "can name no API"),
        ("postAcmeEvents", "postXaikuAnalytics", "the operation id 'postXaikuAnalytics' of 'acme' is taken"),
        ("acmeKey", "xaikuPublicKey", "the components xaikuPublicKey of 'acme' are another dialect's"),
        ("def rejected", "def refuse_it", "lacks rejected"),
        ("return [Acme()]", "return []", "registers no dialect"),
        ("@hookimpl\n", "", "is not marked as a hook"),
        ("headgate_register_dialects", "headgate_register_dialect", "there is no hook"),
        ("import Any\n", "import Any\nraise SystemExit(3)\n", "failed to load: SystemExit: 3"),
        ("return [Acme()]", "raise RuntimeError('out of luck')", "failed to load: RuntimeError: out of luck"),
    ],
)
def test_a_broken_plugin_says_why_and_the_others_are_served(old, new, reason):
    assert old in ACME
    loaded = loaded_with(Point(ACME.replace(old, new)))
    assert reason in loaded.broken["acme"].reason
    assert [one.api.name for one in loaded.dialects] == [one.api.name for one in built_in()]


def test_a_name_that_nothing_provides():
    loaded = loaded_with()
    assert loaded.broken["acme"].reason == (
        "no installed package provides the dialect 'acme': install its plugin, or correct its name"
    )


def test_two_packages_of_one_name():
    loaded = loaded_with(Point(ACME, "one"), Point(ACME, "two"))
    assert loaded.broken["acme"].reason.startswith("several installed packages provide the dialect 'acme' (one, two)")
