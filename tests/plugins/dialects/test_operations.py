"""What the dialects say of themselves in OpenAPI holds for what they do."""

import json
from pathlib import Path
from typing import Any

import pytest
from headgate_dialects.host import built_in
from headgate_dialects.sdk.dialect import Dialect
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

dialects = pytest.mark.parametrize("dialect", built_in(), ids=lambda dialect: dialect.api.name)
FIXTURES = Path(__file__).parent / "fixtures"


def _document(dialect: Dialect) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "x", "version": "1"},
        "paths": {dialect.api.routes[0].path: {"post": dialect.operation()}},
        "components": dialect.components(),
    }


def _validator(dialect: Dialect, schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema | {"components": dialect.components()}, format_checker=FormatChecker(("uri",)))


@dialects
def test_operation_is_valid_openapi(dialect: Dialect) -> None:
    validate(_document(dialect))
    json.dumps(_document(dialect))


@dialects
def test_examples_fit_their_schemas(dialect: Dialect) -> None:
    operation = dialect.operation()
    contents = [operation["requestBody"], *operation["responses"].values()]
    for content in (content["content"]["application/json"] for content in contents):
        examples = [example["value"] for example in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        assert examples
        for example in examples:
            _validator(dialect, content["schema"]).validate(example)


@dialects
def test_every_answer_of_the_fixtures_is_documented(dialect: Dialect) -> None:
    responses = dialect.operation()["responses"]
    for path in (FIXTURES / dialect.api.name).glob("*.json"):
        if path.name == "sample.json":
            continue
        answer = json.loads(path.read_text())["answer"]
        schema = responses[str(answer["status"])]["content"]["application/json"]["schema"]
        _validator(dialect, schema).validate(answer["body"])


def test_operations_and_components_do_not_collide() -> None:
    names = [dialect.operation()["operationId"] for dialect in built_in()]
    assert len(set(names)) == len(names)
    schemes = [name for dialect in built_in() for name in dialect.components().get("securitySchemes", {})]
    assert len(set(schemes)) == len(schemes)
