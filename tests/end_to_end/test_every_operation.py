"""Every operation of the OpenAPI document, with what its schemas allow and what they do not: no input makes a 5xx, and
no status is answered that the document does not name."""

from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode

# Enough for each field to be wrong once in most operations; the whole takes half a minute.
CASES = 12
HEADGATE_TOML = """
[limits]
rate = "1000000/60s"
[accounts]
login_attempts = "100000/60s"
address_attempts = "100000/60s"
"""
# Its document names this status for what is not JSON.
CODCOMPASS = "/api/analytics"


@pytest.fixture(scope="module")
def bearer(headgate) -> str:
    first = orjson.loads((headgate.data_dir / "first-start.json").read_bytes())
    with httpx.Client(base_url=headgate.http, headers={"Origin": headgate.http}, timeout=20) as client:
        owner = {"email": first["owner"]["email"], "password": first["owner"]["password"]}
        assert client.post("/api/auth/login", json=owner).status_code == 200
        token = client.post("/api/cli/tokens", json={}).json()["token"]
        return client.post("/api/cli/validate", json={"token": token}).json()["accessToken"]


def operations(schema: Any) -> Iterator[Any]:
    for found in schema.get_all_operations():
        operation = found.ok()
        # It goes on until its client hangs up.
        if not operation.path.endswith("/tail"):
            yield operation


def credential(headgate, bearer: str, path: str) -> dict[str, str]:
    match path:
        case "/api/v1/analytics" | "/api/v1/experiments":
            return {"X-public-key": headgate.keys["public"]}
        case "/":
            return {"X-API-Key": headgate.keys["public"]}
        case "/api/deploy":
            return {"X-API-Key": headgate.keys["secret"], "Authorization": f"Bearer {bearer}"}
    return {"Authorization": f"Bearer {bearer}"}


def test_no_input_makes_a_server_error_or_a_status_of_its_own(headgate, bearer) -> None:
    schema = schemathesis.openapi.from_url(f"{headgate.http}/openapi.json")
    names, faults = [], []

    def send(case: Any, project: str) -> None:
        if "project" in case.path_parameters and case.method != "DELETE" and project:
            case.path_parameters["project"] = project
        answer = case.call(headers=credential(headgate, bearer, case.operation.path), timeout=20)
        if str(answer.status_code) not in case.operation.definition.raw["responses"]:
            faults.append(f"{case.method} {case.operation.path}: {answer.status_code} is not in the document")
        documented = case.operation.path == CODCOMPASS and answer.status_code == 500 and not is_json(answer)
        if answer.status_code >= 500 and not documented:
            asked = f"{case.method} {case.formatted_path} {case.body!r:.300}"
            faults.append(f"{asked}: {answer.status_code} {answer.text:.200}")

    for operation in operations(schema):
        names.append(operation.label)
        either = st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        )
        test = hypothesis.given(case=either, project=st.sampled_from(["default", ""]))(send)
        hypothesis.settings(
            max_examples=CASES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(test)()
    assert len(names) > 40, names
    assert not faults, "\n".join(faults)


def is_json(answer: Any) -> bool:
    """Whether what was sent is; a body that is not of its Content-Encoding is none."""
    if answer.request.headers.get("Content-Encoding", ["identity"]) not in ("identity", ["identity"]):
        return False
    try:
        orjson.loads(answer.request.body or b"")
    except orjson.JSONDecodeError:
        return False
    return True
