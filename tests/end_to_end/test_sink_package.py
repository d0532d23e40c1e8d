"""A sink that somebody else wrote: made by `sinks new`, installed beside Headgate, and named in headgate.toml."""

import json
import site
import subprocess
import sys
import venv

import httpx


def run(*command: str, **arguments) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_sink_made_by_sinks_new_gets_events_by_being_named(short_dir, make_headgate, wait_until):
    # An environment of its own, which sees this one's packages: no network is needed to have Headgate there.
    environment = short_dir / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    python = str(environment / "bin" / "python")
    (found,) = (environment / "lib").glob("python*/site-packages")
    seen = [folder for folder in sys.path if folder in site.getsitepackages()]
    (found / "headgate-is-there.pth").write_text("".join(f"import site; site.addsitedir({one!r})\n" for one in seen))

    run(python, "-m", "headgate_cli", "sinks", "new", "acme", cwd=short_dir)
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "--no-index", str(short_dir / "acme")),
    )
    run(python, "-m", "pytest", "-p", "no:cacheprovider", cwd=short_dir / "acme")

    headgate = make_headgate('[[sinks]]\nname = "acme"\n')
    headgate.command = (python, "-m", "headgate_cli")
    headgate.start()
    names = [f"bought-{number}" for number in range(5)]
    answer = httpx.post(
        f"{headgate.http}/api/analytics", json={"events": [{"type": name} for name in names]}, timeout=20
    )
    assert answer.is_success, answer.text

    def arrived() -> list[str]:
        files = (headgate.data_dir / "acme").glob("*.jsonl")
        return sorted(json.loads(line)["name"] for file in files for line in file.read_text().splitlines())

    wait_until(lambda: arrived() == names, "every event has arrived at the new sink")
    assert headgate.stop() == 0
