"""Signing in and out over HTTP, and the tokens of command lines, on a whole Headgate."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

COOKIE = "better-auth.session_token"


@pytest.fixture
def owner(headgate) -> dict[str, str]:
    return json.loads((headgate.data_dir / "first-start.json").read_text())["owner"]


@pytest.fixture
def here(headgate) -> dict[str, str]:
    """What a browser says of a page of this origin."""
    return {"Origin": headgate.http}


@pytest.fixture
def signed_in(client, owner) -> httpx.Client:
    assert client.post("/api/auth/login", json=owner).status_code == 200
    return client


def failure(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) - {"details"} == {"code", "message", "requestId"}
    return answer.status_code, error["code"]


def test_a_person_signs_in_and_out(client, owner, here):
    answer = client.post("/api/auth/login", json=owner)
    assert answer.json()["user"]["email"] == owner["email"]
    name, _, attributes = answer.headers["set-cookie"].partition("=")
    assert name == COOKIE
    assert {"Path=/", "HttpOnly", "SameSite=Lax"} < {part.strip() for part in attributes.split(";")}
    assert "Secure" not in attributes
    assert client.get("/api/auth/session").json()["session"]["kind"] == "session"
    held = dict(client.cookies)
    assert client.post("/api/auth/logout", headers=here).json() == {"ok": True}
    assert not client.cookies
    assert failure(httpx.get(f"{client.base_url}/api/auth/session", cookies=held)) == (401, "credential_invalid")
    assert failure(client.get("/api/auth/session")) == (401, "credential_missing")


def test_signing_in_again_ends_the_session_that_came_along(signed_in, owner):
    old = dict(signed_in.cookies)
    assert signed_in.post("/api/auth/login", json=owner).status_code == 200
    assert signed_in.get("/api/auth/session").status_code == 200
    assert failure(httpx.get(f"{signed_in.base_url}/api/auth/session", cookies=old)) == (401, "credential_invalid")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
def test_a_change_by_cookie_that_no_page_of_ours_made_is_refused(signed_in, headers):
    assert failure(signed_in.post("/api/cli/tokens", headers=headers)) == (403, "cross_origin")
    assert failure(signed_in.post("/api/auth/logout", headers=headers)) == (403, "cross_origin")
    assert signed_in.get("/api/auth/session", headers=headers).status_code == 200


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site"])
def test_a_change_by_cookie_from_a_page_of_ours_goes_through(signed_in, here, header):
    shown = here if header == "Origin" else {header: "same-origin"}
    assert signed_in.post("/api/cli/tokens", headers=shown).status_code == 201


def test_a_page_of_another_site_cannot_sign_anybody_in(client, owner):
    foreign = {"Origin": "https://evil.example"}
    assert failure(client.post("/api/auth/login", json=owner, headers=foreign)) == (403, "cross_origin")
    assert client.options("/api/auth/login", headers=foreign).status_code == 405


def test_the_cookie_is_secure_where_a_trusted_proxy_speaks_tls(make_headgate):
    running = make_headgate('[proxies]\ntrusted = ["127.0.0.1"]\n').start()
    owner = json.loads((running.data_dir / "first-start.json").read_text())["owner"]
    for headers, secure in (({}, False), ({"X-Forwarded-Proto": "https"}, True), ({"Forwarded": "proto=https"}, True)):
        answer = httpx.post(f"{running.http}/api/auth/login", json=owner, headers=headers)
        assert answer.headers["set-cookie"].endswith("; Secure") is secure
    # What is written down is then the client's address.
    with httpx.Client(base_url=running.http, headers={"X-Forwarded-For": "203.0.113.9"}, timeout=20) as client:
        assert client.post("/api/auth/login", json=owner).is_success
        told = client.get("/api/audit?limit=1").json()["audit"][0]
    assert (told["what"], told["who"], told["from"]) == ("session.login", owner["email"], "203.0.113.9")
    assert [entry["from"] for entry in running.json("audit", "--limit", "2")["audit"]] == ["203.0.113.9", "127.0.0.1"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "a@b"}, "password"),
        ({"email": 1, "password": "x"}, "email"),
        ({"email": "a@b", "password": "x", "remember": True}, "remember"),
        ([], "body"),
    ],
)
def test_a_body_is_read_strictly(client, body, field):
    answer = client.post("/api/auth/login", json=body)
    assert failure(answer) == (400, "invalid_argument")
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == [field]


def test_what_is_no_request_is_said_to_be_none(client):
    assert failure(client.post("/api/auth/login", content=b"{")) == (400, "bad_request")
    assert failure(client.post("/api/auth/login", content=b"x" * 1_100_000)) == (413, "payload_too_large")
    xml = {"Content-Type": "text/xml"}
    assert failure(client.post("/api/auth/login", content=b"<x/>", headers=xml)) == (415, "unsupported_media_type")
    assert failure(client.get("/api/auth/session", headers={"Authorization": "Bearer \xfc".encode("latin-1")})) == (
        401,
        "credential_invalid",
    )
    assert failure(client.get("/api/auth/session?x=1")) == (400, "invalid_argument")
    assert failure(client.get("/api/auth/login")) == (405, "method_not_allowed")


def test_of_fifty_who_validate_a_token_at_once_one_gets_it(signed_in, here, owner):
    made = signed_in.post("/api/cli/tokens", headers=here).json()

    def validate(_: int) -> httpx.Response:
        return httpx.post(f"{signed_in.base_url}/api/cli/validate", json={"token": made["token"]}, timeout=60)

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(validate, range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 49
    (won,) = (answer.json() for answer in answers if answer.is_success)
    assert set(won) == {"accessToken", "expiresAt", "user"}
    assert won["user"]["email"] == owner["email"]
    bearer = {"Authorization": f"Bearer {won['accessToken']}"}
    with httpx.Client(base_url=signed_in.base_url) as command_line:
        assert command_line.get("/api/auth/session", headers=bearer).json()["session"]["kind"] == "cli"
        assert failure(command_line.post("/api/cli/tokens", headers=bearer)) == (403, "session_required")
        assert command_line.post("/api/auth/logout", headers=bearer).status_code == 200
        assert failure(command_line.get("/api/auth/session", headers=bearer)) == (401, "credential_invalid")
    assert failure(signed_in.post("/api/cli/validate", json={"token": "hgt_x"})) == (401, "token_invalid")


def test_too_many_attempts_are_told_to_wait(client):
    tried = {"email": "somebody@example.com", "password": "wrong"}
    answers = [client.post("/api/auth/login", json=tried) for _ in range(11)]
    assert [failure(answer)[0] for answer in answers] == [401] * 10 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 900


def test_no_secret_is_in_the_log(headgate, signed_in, owner):
    log = headgate.log_file.read_text()
    assert owner["password"] not in log
    assert not [text for text in ("hgs_", "hgc_", "hgt_") if text in log]


def test_the_operator_makes_and_ends_users(headgate, client):
    def user(*arguments: str, password: str = "", check: bool = True):
        return subprocess.run(
            [*headgate.command, "user", *arguments, "--data-dir", str(headgate.data_dir), "--json"],
            input=password + "\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
        )

    made = user(
        "create", "Eve@example.com", "--password-stdin", "--member", "default:viewer", password="first password"
    )
    assert json.loads(made.stdout)["user"]["email"] == "eve@example.com"
    login = {"email": "eve@example.com", "password": "first password"}
    assert client.post("/api/auth/login", json=login).status_code == 200
    user("password", "eve@example.com", "--password-stdin", password="second password")
    assert failure(client.get("/api/auth/session")) == (401, "credential_invalid")
    assert client.post("/api/auth/login", json=login | {"password": "second password"}).status_code == 200
    user("disable", "eve@example.com")
    assert failure(client.get("/api/auth/session")) == (401, "credential_invalid")
    assert failure(client.post("/api/auth/login", json=login | {"password": "second password"})) == (
        401,
        "login_failed",
    )
    for wrong in (
        ("create", "x@example.com", "--password-stdin", "--member", "default:king"),
        ("create", "x@example.com"),
        ("create", "no address", "--password-stdin"),
    ):
        assert user(*wrong, password="some password", check=False).returncode == 2
    assert user("disable", "nobody@example.com", check=False).returncode == 1
