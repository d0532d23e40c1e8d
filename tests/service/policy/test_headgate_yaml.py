"""headgate.yaml becomes the compiled config, or says what is wrong with it, where, and what was probably meant."""

import json
from typing import Any

import jsonschema
import pytest
import yaml
from headgate_service.errors import PolicyInvalid
from headgate_service.policy.compiled_config import CompiledConfig
from headgate_service.policy.headgate_yaml import compile_yaml, compiled_schema, yaml_schema

RICH = """
project: shop
events:
  page_view: {sample: 0.5}
  "debug_*": {enabled: false}
  purchase:
    schema: {type: object, required: [amount]}
    schemaMode: enforce
default: {sample: 1}
ignoredEnvironments:
  origins: [localhost, "*.test"]
  fields: {"properties.env": [dev, 1, true]}
pii:
  - {path: user_id, action: hash}
  - {path: page.href.query.token, action: drop}
ip: truncate
origins: ["https://shop.example", "*.shop.example"]
experiments: [{id: e1, variants: [{id: a}]}]
"""


def no_file(name: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", name)


def faults(text: str, read_file=no_file) -> dict[str, str]:
    with pytest.raises(PolicyInvalid) as caught:
        compile_yaml(text, read_file)
    return {fault.path: fault.message for fault in caught.value.faults}


def test_what_is_written_and_what_is_compiled_are_as_their_published_schemas_say():
    compiled = compile_yaml(RICH, no_file).canonical()
    jsonschema.validate(yaml.safe_load(RICH), json.loads(yaml_schema()))
    jsonschema.validate(compiled, json.loads(compiled_schema()))
    assert compiled["events"]["debug_*"] == {"enabled": False, "sample": 1.0, "schema": None, "schemaMode": "monitor"}
    assert compiled["formatVersion"] == 1


def test_a_published_schema_refuses_what_the_compiler_refuses():
    for wrong in ({"projct": "a"}, {"events": {"a": {"sample": 2}}}, {"pii": [{"path": "user_id", "action": "eat"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, json.loads(yaml_schema()))
        assert faults(yaml.safe_dump(wrong))


def test_configs_that_mean_the_same_compile_to_the_same():
    spelled_out = "events: {a: {enabled: true, sample: 1}}\nip: keep\norigins: []"
    assert compile_yaml(spelled_out, no_file).canonical() == compile_yaml("events: {a: {}}", no_file).canonical()


@pytest.mark.parametrize("text", ["", "# all gone", "---\n", "null"])
def test_a_file_that_was_cut_short_takes_nothing_back(text: str):
    with pytest.raises(PolicyInvalid, match="is empty"):
        compile_yaml(text, no_file)


def test_a_compiled_config_compiles_to_itself():
    compiled = compile_yaml(RICH, no_file).canonical()
    assert CompiledConfig.read(compiled).canonical() == compiled


def test_every_fault_is_named_at_once_by_its_place_with_the_name_that_was_meant():
    found = faults(
        """
        projct: a
        events: {a: {sampel: 0.1}, b: {sample: 2, schemaMode: enforced}, c: {sample: "0.5"}, d: {enabled: 1}}
        pii: [{path: userId, action: has}, {action: drop}, {path: page.hreff, action: drop}]
        ip: truncat
        origins: ["http//x", "ftp://x"]
        ignoredEnvironments: {fields: {foo.bar: [x]}, origns: []}
        """
    )
    assert found["/projct"] == 'unknown setting; did you mean "project"?'
    assert found["/events/a/sampel"] == 'unknown setting; did you mean "sample"?'
    assert found["/events/b/sample"] == "must be a number from 0 to 1"
    assert 'did you mean "enforce"' in found["/events/b/schemaMode"]
    assert found["/events/c/sample"].endswith("must be a number from 0 to 1")
    assert found["/events/d/enabled"] == "must be true or false"
    assert 'did you mean "user_id"' in found["/pii/0/path"]
    assert 'did you mean "hash"' in found["/pii/0/action"]
    assert found["/pii/1/path"] == "is required"
    assert 'did you mean "page.href"' in found["/pii/2/path"]
    assert 'did you mean "truncate"' in found["/ip"]
    assert {"/origins/0", "/origins/1", "/ignoredEnvironments/fields/foo.bar"} <= found.keys()
    assert found["/ignoredEnvironments/origns"] == 'unknown setting; did you mean "origins"?'


def test_a_pointer_escapes_what_stands_for_something_in_pointers():
    assert list(faults('events: {"a/b~c": {sampel: 1}}')) == ["/events/a~1b~0c/sampel"]


def test_a_schema_may_be_in_a_file_of_its_own():
    files = {"purchase.json": '{"required": ["amount"]}', "broken.json": "{"}
    compiled = compile_yaml("events: {purchase: {schema: purchase.json}}", files.__getitem__)
    assert compiled.canonical()["events"]["purchase"]["schema"] == {"required": ["amount"]}
    assert "No such file" in faults("events: {purchase: {schema: none.json}}")["/events/purchase/schema"]
    assert "is not valid YAML" in faults("default: {schema: broken.json}", files.__getitem__)["/default/schema"]


@pytest.mark.parametrize(
    "text",
    ["hunter2", "x: hunter2: [", "- hunter2", "hunter2: *hunter2", "{hunter2: 1, hunter2: 2}", "!!hunter2 a"],
)
def test_no_fault_repeats_what_a_file_of_a_schema_holds(text: str):
    found = faults("default: {schema: secret.txt}", {"secret.txt": text}.__getitem__)
    assert list(found) == ["/default/schema"]
    assert "hunter2" not in str(found)


def test_a_compiled_config_names_no_file():
    with pytest.raises(PolicyInvalid, match=r"/events/a/schema: 'purchase\.json' must be a JSON Schema"):
        CompiledConfig.read({"formatVersion": 1, "events": {"a": {"schema": "purchase.json"}}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is not valid YAML"),
        ("- a", "must be a mapping"),
        ("ip: keep\nip: drop", "'ip' comes twice, line 2"),
        ("events: {1: {}}", "the key 1 is not text: quote it"),
        ("x: &a [1]\ny: *a", "aliases are not taken, line 2"),
        ("x: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("[" * 3000 + "]" * 3000, "nested too deep"),
    ],
)
def test_yaml_that_means_no_config_is_said_so_by_line(text: str, words: str):
    assert words in faults(text)[""]


def test_only_true_and_false_are_booleans():
    compiled = compile_yaml(
        "events: {off: {enabled: False}, yes: {}, trueish: {}}\nignoredEnvironments: {fields: {user_id: [no]}}", no_file
    )
    assert list(compiled.events) == ["off", "yes", "trueish"]
    assert compiled.events["off"].enabled is False
    assert compiled.ignored_environments.fields == {"user_id": ("no",)}


def test_a_date_in_a_schema_is_a_text_as_in_json():
    compiled = compile_yaml("events: {a: {schema: {const: 2026-01-01}}}", no_file)
    assert compiled.canonical()["events"]["a"]["schema"] == {"const": "2026-01-01"}


@pytest.mark.parametrize(
    ("config", "path", "words"),
    [
        ([], "", "must be an object"),
        ({}, "/formatVersion", "is required"),
        ({"formatVersion": 2}, "/formatVersion", "this release knows up to 1"),
        ({"formatVersion": 1, "events": {f"e{n}": {} for n in range(1001)}}, "/events", "at most 1000"),
        ({"formatVersion": 1, "events": {"*a*b*c*d*e*": {}}}, "/events/*a*b*c*d*e*", "at most 5 stars"),
        (
            {"formatVersion": 1, "experiments": [{"id": "a", "text": "x" * 600_000, "variants": [{"id": 1}]}]},
            "",
            "bytes of JSON",
        ),
    ],
)
def test_a_compiled_config_out_of_its_bounds_is_refused(config, path: str, words: str):
    with pytest.raises(PolicyInvalid) as caught:
        CompiledConfig.read(config)
    assert caught.value.faults[0].path == path
    assert words in caught.value.faults[0].message


@pytest.mark.parametrize(
    ("experiment", "path", "words"),
    [
        ({}, "/experiments/0/variants", "is required"),
        ({"variants": []}, "/experiments/0/variants", "must have at least 1 entry"),
        ({"variants": {"a": 1}}, "/experiments/0/variants", "must be a list"),
        ({"variants": ["a"]}, "/experiments/0/variants/0", "must be an object"),
        ({"variants": [{}]}, "/experiments/0/variants/0/id", "is required"),
        ({"variants": [{"id": ""}]}, "/experiments/0/variants/0/id", "must be a string that is not empty, or a number"),
        ({"variants": [{"id": True}]}, "/experiments/0/variants/0/id", "or a number"),
        ({"variants": [{"id": None}]}, "/experiments/0/variants/0/id", "or a number"),
        ({"variants": [{"id": float("inf")}]}, "/experiments/0/variants/0/id", "or a number"),
    ],
)
def test_an_experiment_that_its_client_would_break_on_is_refused(experiment: Any, path: str, words: str):
    with pytest.raises(PolicyInvalid) as caught:
        CompiledConfig.read({"formatVersion": 1, "experiments": [{"id": "a"} | experiment]})
    assert caught.value.faults[0].path == path
    assert words in caught.value.faults[0].message


def test_variants_are_kept_as_they_are_written():
    variants = [{"id": 1, "weight": 3, "control": True, "parts": {"p": "text"}}, {"id": 2.5}, {"id": "b", "more": None}]
    config = CompiledConfig.read({"formatVersion": 1, "experiments": [{"id": "a", "variants": variants}]})
    assert config.canonical()["experiments"] == [{"id": "a", "test": False, "variants": variants}]


def test_a_config_without_end_in_depth_is_refused():
    config: dict = {"formatVersion": 1}
    at = config
    for _ in range(500):
        at["events"] = at = {}
    with pytest.raises(PolicyInvalid, match="nested more than 64"):
        CompiledConfig.read(config)


def test_secrets_of_sinks_are_read_where_the_file_is_compiled():
    text = """
sinks:
  - name: orders
    use: webhook
    config: {url: "https://e.example"}
    secrets:
      secret: [env:HOOK, "file:old.txt"]
      headers: {Authorization: "Bearer plain"}
"""
    read = compile_yaml(text, {"old.txt": " whsec_b2xk\n"}.__getitem__, {"HOOK": "whsec_bmV3"})
    sent = json.loads(json.dumps(read.sent()))
    assert sent["sinks"][0]["secrets"] == {
        "secret": ["whsec_bmV3", "whsec_b2xk"],
        "headers": {"Authorization": "Bearer plain"},
    }
    assert "whsec_" not in json.dumps(read.canonical())
    assert CompiledConfig.read(sent).sent() == read.sent()

    def missing(name: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", name)

    with pytest.raises(PolicyInvalid) as refused:
        compile_yaml(text, missing, {})
    assert [str(fault) for fault in refused.value.faults] == [
        "/sinks/0/secrets/secret/0: the environment variable HOOK is not set here",
        "/sinks/0/secrets/secret/1: the file 'old.txt' cannot be read: No such file or directory",
    ]
