"""headgate.toml: what it means, and how it says what is wrong with it."""

from pathlib import Path

import pytest
from headgate_cli.settings.reader import SettingsInvalid, read_settings
from headgate_cli.settings.section import Rate
from headgate_cli.settings.settings import Settings


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    file = folder / "headgate.toml"
    file.write_text(text)
    return read_settings(file, environ or {})


def test_all_of_it_may_be_left_out(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    assert settings.http.address == "127.0.0.1:8080"
    assert settings.limits.rate == Rate(requests=1000, window_seconds=60)
    assert [sink.name for sink in settings.running_sinks] == ["jsonl"]


def test_no_file_means_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings(None, {}) == Settings()


def test_the_file_of_the_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "headgate.toml").write_text("[codcompass]\nproject = 'shop'\n")
    assert read_settings(None, {}).codcompass.project == "shop"


def test_a_default_sink_stays_beside_others(tmp_path: Path) -> None:
    settings = read(tmp_path, '[[sinks]]\nname = "hook"\nuse = "webhook"\n[sinks.config]\nurl = "http://x"\n')
    assert [(sink.name, sink.use, sink.config) for sink in settings.running_sinks] == [
        ("jsonl", "jsonl", {}),
        ("hook", "webhook", {"url": "http://x"}),
    ]


def test_a_default_sink_goes_when_disabled_by_name(tmp_path: Path) -> None:
    assert read(tmp_path, '[[sinks]]\nname = "jsonl"\nenabled = false\n').running_sinks == ()


def test_a_default_sink_is_replaced_by_one_of_its_name(tmp_path: Path) -> None:
    (sink,) = read(tmp_path, '[[sinks]]\nname = "jsonl"\nprojects = ["shop"]\n').running_sinks
    assert (sink.use, sink.projects) == ("jsonl", ("shop",))


def test_units_are_read(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        '[limits]\nrate = "5/2m"\nlog_bytes = "10MiB"\n[log]\nkeep = "2d"\nkeep_bytes = 5000\n',
    )
    assert settings.limits.rate == Rate(requests=5, window_seconds=120)
    assert settings.limits.log_bytes == 10 * 1024 * 1024
    assert settings.log.keep == 2 * 86400
    assert settings.log.keep_bytes == 5000


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    tls = read(tmp_path, '[tls.grpc]\ncertificate = "c.pem"\nkey = "/etc/k.pem"\n').tls.grpc
    assert tls is not None
    assert (tls.certificate, tls.key, tls.client_ca) == (tmp_path / "c.pem", Path("/etc/k.pem"), None)


def test_the_environment_comes_before_the_file_and_flags_before_both(tmp_path: Path) -> None:
    file = tmp_path / "headgate.toml"
    file.write_text('[http]\naddress = "127.0.0.1:1"\n[grpc]\naddress = "127.0.0.1:2"\n')
    environ = {"HEADGATE_HTTP_ADDRESS": "127.0.0.1:3", "HEADGATE_GRPC_ADDRESS": "127.0.0.1:4"}
    settings = read_settings(file, environ, {("grpc", "address"): "[::1]:5", ("http", "address"): None})
    assert (settings.http.address, settings.grpc.address) == ("127.0.0.1:3", "[::1]:5")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        '[gateway]\ntoken = "quiet"\n[redis]\nurl = "redis://:quiet@h"\n'
        '[control]\ndatabase_url = "postgresql://u:quiet@h"\n'
        '[[sinks]]\nname = "a"\nuse = "webhook"\nconfig = { secret = "quiet" }\n',
    )
    assert "quiet" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[limit]\n", "limit: unknown setting; did you mean 'limits'?"),
        ('[http]\nadress = "x"\n', "http.adress: unknown setting; did you mean 'address'?"),
        ('[[sinks]]\nname = "a"\ntopic = "x"\n', "sinks.0.topic: unknown setting; known here: name, use, projects"),
        ('[tls.http]\nkey = "k"\n', "tls.http.certificate: is required: add it"),
        ('[tls.grpc]\ncertificate = "c"\nkey = "k"\nca = "x"\n', "tls.grpc.ca: unknown setting"),
        (
            '[http]\naddress = "8080"\n',
            "http.address: '8080' is not an address: write HOST:PORT, for example 127.0.0.1:8080",
        ),
        ('[http]\naddress = "::1:80"\n', "write an IPv6 host in brackets"),
        ('[limits]\nrate = "fast"\n', 'limits.rate: write requests and window, both above 0, as "1000/60s"'),
        ('[limits]\nrate = "0/60s"\n', "both above 0"),
        ('[log]\nkeep = "soon"\n', 'log.keep: write a number and its unit, s, m, h or d, as "24h"'),
        ('[proxies]\ntrusted = ["10.0.0.0/99"]\n', "proxies.trusted.0: '10.0.0.0/99' does not appear to be"),
        ('[[sinks]]\nname = "A B"\n', "sinks.0.name: "),
        ('[[sinks]]\nname = "a"\n[[sinks]]\nname = "a"\n', "sinks: two sinks have the name 'a': rename one"),
        ('[[sinks]]\nname = "a"\nwhen_full = "drop"\n', "sinks.0.when_full: Input should be 'refuse' or 'expire'"),
        ("http = 1\n", "http: "),
        ("http\n", "is not valid TOML: "),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_remedy(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'headgate.toml'}: ")
    assert says in str(caught.value)


def test_every_fault_is_listed(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(tmp_path, '[http]\naddress = "x"\n[nope]\n')
    assert len(str(caught.value).splitlines()) == 2


def test_a_fault_of_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"^\$HEADGATE_HTTP_ADDRESS: http\.address: 'x' is not an address"):
        read(tmp_path, "", {"HEADGATE_HTTP_ADDRESS": "x"})


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="file not found: check --config"):
        read_settings(tmp_path / "absent.toml", {})


def test_the_store_s_sink_is_there_where_a_store_is(tmp_path):
    settings = read(tmp_path, '[store]\nurl = "http://u:p@h:8123/db"\n')
    assert [(sink.name, sink.config) for sink in settings.running_sinks] == [
        ("jsonl", {}),
        ("store", {"url": "http://u:p@h:8123/db"}),
    ]
    off = '[store]\nurl = "http://h"\n[[sinks]]\nname = "store"\nenabled = false\n'
    assert [sink.name for sink in read(tmp_path, off).running_sinks] == ["jsonl"]
    own = '[store]\nurl = "http://h"\n[[sinks]]\nname = "second"\nuse = "store"\n[sinks.config]\nurl = "http://other"\n'
    assert read(tmp_path, own).running_sinks[-1].config == {"url": "http://other"}
    assert "u:p@" not in repr(settings)


@pytest.mark.parametrize("url", ["clickhouse:9000", "http://h/a b", "http://u:secret@h/?a=b"])
def test_a_store_url_that_is_none_is_refused_by_its_setting(tmp_path, url):
    with pytest.raises(SettingsInvalid, match=r"store\.url: ") as caught:
        read(tmp_path, f'[store]\nurl = "{url}"\n')
    assert "secret" not in str(caught.value)


def test_a_url_of_redis_that_cannot_work_is_refused(tmp_path):
    with pytest.raises(SettingsInvalid) as refused:
        read(tmp_path, '[redis]\nurl = "redis://:quiet@h?foo=1"\n')
    assert "not known: foo" in str(refused.value)
    assert "quiet" not in str(refused.value)
