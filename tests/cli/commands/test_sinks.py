"""`headgate sinks list`, `schema` and `check`, with plugins installed as packages are."""

import json
import sys

import pytest
from headgate_cli.main import app
from typer.testing import CliRunner

GOOD = """
from headgate_sinks import Config, Misconfigured, Result, Sink, hookimpl
from pydantic import Field, SecretStr


class GoodConfig(Config):
    password: SecretStr = Field("env:PASSWORD", description="What opens it.")


class GoodSink(Sink[GoodConfig]):
    use = "good"
    Config = GoodConfig

    async def check(self):
        if self.place.secret(self.config.password) != "sesame":
            raise Misconfigured("the password is wrong: correct it")

    async def write(self, batch):
        raise AssertionError("a check writes nothing")


@hookimpl
def headgate_register_sinks():
    return [GoodSink]
"""

VAULT = """
from headgate_sinks import hookimpl


@hookimpl
def headgate_resolve_secret(reference):
    return "sesame" if reference == "vault:x" else None
"""

BROKEN = """
def prepare():
    raise OSError("no licence file")

prepare()
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name, source):
        module = f"cli_installed_{name}"
        (site / f"{module}.py").write_text(source)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[headgate.sinks.v1]\n{name} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


@pytest.fixture
def sinks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["sinks", *arguments])


def test_list_shows_every_kind_and_a_broken_one_with_its_traceback(install, sinks):
    install("good", GOOD)
    install("vault", VAULT)
    install("broken", BROKEN)
    install("misspelt", GOOD.replace("headgate_register_sinks", "headgate_register_sink"))
    answer = sinks("list")
    assert answer.exit_code == 0
    lines = {line.split()[0]: line for line in answer.output.splitlines() if not line.startswith(" ")}
    assert "  ok" in lines["good"]
    assert "  ok" in lines["jsonl"]
    assert "no sink; headgate_resolve_secret" in lines["vault"]
    assert "BROKEN" in lines["broken"]
    assert "in prepare" in answer.output
    assert "did you mean 'headgate_register_sinks'?" in lines["misspelt"]

    rows = {row["use"]: row for row in json.loads(sinks("list", "--json").output)}
    assert rows["good"] == {
        "use": "good",
        "package": "cli_installed_good 1.0",
        "state": "ok",
        "hooks": ["headgate_register_sinks"],
        "reason": "",
        "traceback": "",
    }
    assert rows["broken"]["state"] == "BROKEN"
    assert "no licence file" in rows["broken"]["traceback"]


def test_schema_is_that_of_the_kinds_config(install, sinks):
    install("good", GOOD)
    install("broken", BROKEN)
    schema = json.loads(sinks("schema", "good").output)
    assert schema["properties"]["password"]["description"] == "What opens it."
    assert schema["additionalProperties"] is False
    broken = sinks("schema", "broken")
    assert (broken.exit_code, "no licence file" in broken.output) == (1, True)
    absent = sinks("schema", "absent")
    assert (absent.exit_code, "no installed package" in absent.output) == (2, True)


def test_check_asks_each_configured_sink_and_writes_nothing(install, sinks, tmp_path, monkeypatch):
    install("good", GOOD)
    install("vault", VAULT)
    (tmp_path / "headgate.toml").write_text(
        """
        [forwarder]
        plugins = ["vault"]
        [[sinks]]
        name = "good"
        [[sinks]]
        name = "from-vault"
        use = "good"
        config = {password = "vault:x"}
        [[sinks]]
        name = "off"
        use = "absent"
        enabled = false
        """
    )
    monkeypatch.setenv("PASSWORD", "sesame")
    answer = sinks("check")
    assert answer.exit_code == 0, answer.output
    assert sorted(answer.output.split("\n")) == ["", "from-vault  ok", "good        ok", "jsonl       ok"]
    assert not (tmp_path / "headgate-data").exists()

    monkeypatch.setenv("PASSWORD", "guess-77")
    answer = sinks("check", "good", "--json")
    assert answer.exit_code == 1
    assert json.loads(answer.output) == [
        {"sink": "good", "ok": False, "error": "the password is wrong: correct it"},
    ]
    assert "guess-77" not in answer.output
    monkeypatch.delenv("PASSWORD")
    assert "PASSWORD is not set" in sinks("check").output


def test_check_names_what_cannot_even_be_made(install, sinks, tmp_path):
    install("broken", BROKEN)
    (tmp_path / "headgate.toml").write_text(
        """
        [forwarder]
        plugins = ["missing"]
        [[sinks]]
        name = "broken"
        [[sinks]]
        name = "hook"
        use = "webhook"
        config = {url = "ftp://x", secret = "s3cret"}
        """
    )
    answer = sinks("check")
    assert answer.exit_code == 1
    assert "jsonl                       ok" in answer.output
    assert "no licence file" in answer.output
    assert "url" in answer.output
    assert "forwarder.plugins: missing  FAILED" in answer.output
    assert "s3cret" not in answer.output
    unknown = sinks("check", "hok")
    assert (unknown.exit_code, "there are: jsonl, broken, hook" in unknown.output) == (2, True)
