"""Operations of the app API as OpenAPI."""

import re
from typing import Any

from headgate_gateway.app_api.fields import MAX_PART_CHARACTERS, Field
from headgate_gateway.app_api.operation import Operation

_PART = re.compile(r"{(\w+)}")
_PATH_PART = {"type": "string", "minLength": 1, "maxLength": MAX_PART_CHARACTERS}


def described(operation: Operation) -> dict[str, Any]:
    """An OpenAPI operation."""
    problem = {"$ref": "#/components/responses/Problem"}
    answer: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if operation.streams:
        answer = {"application/x-ndjson": {"schema": {"type": "object"}}, "text/event-stream": {"schema": {}}}
    described: dict[str, Any] = {
        "operationId": _name(operation),
        "summary": operation.summary,
        "tags": ["App API"],
        "parameters": [
            *({"name": part, "in": "path", "required": True, "schema": _PATH_PART} for part in _parts(operation)),
            *({"name": one.name, "in": "query", **_schema(one), "required": one.required} for one in operation.query),
        ],
        "security": _security(operation),
        "responses": {
            str(operation.status): {"description": "Done", "content": answer},
            **{str(status): problem for status in (400, 401, 403, 404, 409, 422, 429, 503)},
        },
    }
    if operation.body or operation.whole_body:
        schema: dict[str, Any] = {"type": "object"}
        if operation.body:
            schema |= {
                "additionalProperties": False,
                "required": [one.name for one in operation.body if one.required],
                "properties": {
                    one.name: {**_schema(one)["schema"], "description": one.description} for one in operation.body
                },
            }
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    names = ("headgateBearer", "headgateSession", *(["headgateKey"] if operation.by_key else []))
    return [] if operation.open else [{name: []} for name in names]


def _schema(field: Field) -> dict[str, Any]:
    return {"schema": field.schema, "description": field.description}


def _parts(operation: Operation) -> list[str]:
    return _PART.findall(operation.path)


def _name(operation: Operation) -> str:
    """As `getProjectsByProjectUsage`, which no other has."""
    words = [
        f"by-{part[1:-1]}" if part.startswith("{") else part for part in operation.path.removeprefix("/api/").split("/")
    ]
    return operation.method.lower() + "".join(word.title() for word in "-".join(words).split("-"))
