"""The hooks: each has a test here whose name begins with `test_` and the hook's, and a place in the guide."""

import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from headgate_sinks import ENTRY_POINTS, Config, Misconfigured, Place, Result, SecretMissing, Sink, hookimpl
from headgate_sinks.sdk.host import HOOKS, HookUnknown, Loaded, Plugin, load
from pydantic import SecretStr

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "writing-a-sink.md"


class NullSink(Sink[Config]):
    use = "null"
    Config = Config

    async def write(self, batch):
        return Result()


def module(name: str, **members) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(members)
    sys.modules[name] = made
    return made


def load_modules(uses, plugins=(), **modules: types.ModuleType) -> Loaded:
    """Loads them as if each were installed under its name."""
    return load(uses, lambda name: [EntryPoint(name, modules[name].__name__, ENTRY_POINTS)], plugins)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test_and_a_place_in_the_guide(hook):
    here = [*globals(), *_tests_of_the_forwarder()]
    assert any(name.startswith(f"test_{hook}") for name in here), f"no test of {hook}"
    assert f"`{hook}(" in GUIDE.read_text(), f"{hook} is not in {GUIDE}"


def _tests_of_the_forwarder() -> list[str]:
    source = (GUIDE.parents[2] / "tests" / "service" / "delivery" / "test_plugins.py").read_text()
    return [line.split("def ")[1] for line in source.splitlines() if "def test_" in line]


def test_headgate_register_sinks_gives_the_sink_of_that_use():
    sinks = module("registering", headgate_register_sinks=hookimpl(lambda: [NullSink]))
    assert load_modules(["null"], null=sinks).sinks == {"null": NullSink}


def resolving(name: str, answer) -> types.ModuleType:
    @hookimpl
    def headgate_resolve_secret(reference):
        return answer(reference)

    return module(name, headgate_resolve_secret=headgate_resolve_secret)


def place(loaded: Loaded) -> Place:
    return Place("x", Path("/nowhere"), lambda: 0.0, {"NAME": "from env"}, loaded.resolve_secret)


def test_headgate_resolve_secret_is_asked_for_what_is_no_env_and_no_file():
    asked = []

    def vault(reference):
        asked.append(reference)
        return "from the vault" if reference == "vault:crm" else None

    loaded = load_modules(
        [], ["deaf", "vault"], deaf=resolving("deaf_plugin", lambda _: None), vault=resolving("vault_plugin", vault)
    )
    where = place(loaded)
    assert where.secret("vault:crm") == "from the vault"
    assert where.secret(SecretStr("whsec_literal")) == "whsec_literal"
    assert where.secret("env:NAME") == "from env"
    assert asked == ["vault:crm", "whsec_literal"]


def test_headgate_resolve_secret_that_raises_pauses_the_sink_and_shows_nothing():
    def fail(reference):
        raise RuntimeError("token s3cret refused")

    def missing(reference):
        raise SecretMissing("there is no kv/crm in the vault")

    with pytest.raises(Misconfigured, match="'failing' failed to resolve a secret: RuntimeError") as raised:
        place(load_modules([], ["failing"], failing=resolving("failing_vault", fail))).secret("vault:crm")
    assert "s3cret" not in str(raised.value)
    with pytest.raises(Misconfigured, match="no kv/crm"):
        place(load_modules([], ["empty"], empty=resolving("empty_vault", missing))).secret("vault:crm")


def test_a_misspelt_hook_breaks_its_plugin_and_names_the_near_one():
    misspelt = module("misspelt", headgate_register_sink=hookimpl(lambda: [NullSink]))
    fine = module("fine", headgate_register_sinks=hookimpl(lambda: [NullSink]))
    loaded = load_modules(["bad", "null"], bad=misspelt, null=fine)
    assert "did you mean 'headgate_register_sinks'?" in loaded.broken["bad"].reason
    assert loaded.sinks == {"null": NullSink}
    assert len(loaded.plugins) == 1


def test_a_hook_that_was_never_marked_is_a_mistake():
    def headgate_register_sinks():
        return [NullSink]

    with pytest.raises(HookUnknown, match="hookimpl"):
        Plugin("bare", module("bare", headgate_register_sinks=headgate_register_sinks))


def test_a_hook_that_wants_what_it_is_not_given_breaks_its_plugin():
    @hookimpl
    def headgate_batch_settled(sink, colour):
        pass

    loaded = load_modules([], ["odd"], odd=module("odd_arguments", headgate_batch_settled=headgate_batch_settled))
    assert "colour" in loaded.broken["odd"].reason


def test_a_module_behind_two_names_is_called_once():
    class OtherSink(NullSink):
        use = "other"

    both = module("both_plugin", headgate_register_sinks=hookimpl(lambda: [NullSink, OtherSink]))
    loaded = load_modules(["null", "other"], ["null"], null=both, other=both)
    assert loaded.sinks == {"null": NullSink, "other": OtherSink}
    assert len(loaded.plugins) == 1
