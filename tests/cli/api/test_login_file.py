import json
from pathlib import Path

import pytest
from headgate_cli.api.admin_socket import DEFAULT_DATA_DIR
from headgate_cli.api.http_api import (
    VARIABLE,
    HttpApi,
    Login,
    LoginUnreadable,
    checked_url,
    exposed,
    login_file,
    read_login,
    write_login,
)
from headgate_cli.api.reach import SocketApi, reach
from headgate_cli.main import app
from typer import Exit
from typer.testing import CliRunner

LOGIN = Login("http://127.0.0.1:8080", "hgc_secret", "ada@example.com", "2026-12-01T00:00:00.000Z")


def test_a_login_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "credentials.json"
    assert read_login(file) is None
    write_login(file, LOGIN)
    assert read_login(file) == LOGIN
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.chmod(0o644)
    write_login(file, LOGIN)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["credentials.json"]
    assert "hgc_secret" not in repr(LOGIN)


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert login_file({}) == tmp_path / ".config" / "headgate" / "credentials.json"
    assert login_file({"XDG_CONFIG_HOME": "/x"}) == Path("/x/headgate/credentials.json")
    assert login_file({"XDG_CONFIG_HOME": "/x", VARIABLE: "/y.json"}) == Path("/y.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "http://h"}', "\x00"])
def test_what_is_no_login_is_said(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(text)
    with pytest.raises(LoginUnreadable, match=r"credentials\.json"):
        read_login(file)
    monkeypatch.setenv(VARIABLE, str(file))
    done = CliRunner().invoke(app, ["project", "list"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "headgate login" in done.stderr


def test_which_way_a_command_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "credentials.json"))
    way = reach(None)
    assert isinstance(way, SocketApi)
    assert way.data_dir == DEFAULT_DATA_DIR
    write_login(tmp_path / "credentials.json", LOGIN)
    assert isinstance(reach(None), HttpApi)
    assert isinstance(reach(tmp_path), SocketApi)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://h.example", "https://h.example"),
        ("https://h.example/", "https://h.example"),
        ("http://[::1]:8080/sub/", "http://[::1]:8080/sub"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_an_address(text: str, url: str) -> None:
    assert checked_url(text) == url


@pytest.mark.parametrize(
    "text", ["ftp://h", "https://", "https://u:p@h", "https://h?x=1", "https://h/#x", "http://h:x"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(Exit) as ended:
        checked_url(text)
    assert ended.value.exit_code == 2


def test_what_is_sent_without_tls_can_be_read_on_the_way() -> None:
    assert [url for url in ("http://h.example", "http://10.0.0.5:80", "http://[::2]") if not exposed(url)] == []
    sound = ("https://h.example", "http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080")
    assert [url for url in sound if exposed(url)] == []


def test_where_no_headgate_answers_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "credentials.json"))
    # Nothing listens on the discard port.
    done = CliRunner().invoke(app, ["login", "hgt_x", "--url", "http://127.0.0.1:9"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no Headgate answers at http://127.0.0.1:9" in done.stderr
    assert not (tmp_path / "credentials.json").exists()


def test_every_command_takes_a_data_directory_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "credentials.json"))
    where = ["--data-dir", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, ["whoami", *where])
    assert json.loads(done.stdout) == {"operator": True, "dataDir": str(tmp_path)}
    assert CliRunner().invoke(app, ["logout", *where]).exit_code == 0
    done = CliRunner().invoke(app, ["login", "hgt_x", *where])
    assert (done.exit_code, "no Headgate runs on" in done.stderr) == (1, True)


def test_nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "credentials.json"))
    assert CliRunner().invoke(app, ["whoami"]).exit_code == 1
    done = CliRunner().invoke(app, ["logout", "--json"])
    assert json.loads(done.stdout) == {"loggedOut": False, "ended": False}
