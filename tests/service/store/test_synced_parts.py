"""What the engine writes is on the disk before its part has its name: inserts, merges and mutations, under strace."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from headgate_service.store.engine import Engine
from headgate_service.store.schema import migrate
engine = Engine(Path(sys.argv[1]))
migrate(engine.query)
for n in range(2):
    engine.query(f"INSERT INTO events (project_id, event_id) SELECT 'p', toString(number + {n}) FROM numbers(9)")
engine.query("OPTIMIZE TABLE events FINAL")
engine.query("ALTER TABLE events DELETE WHERE event_id = '3'", None, {"mutations_sync": "2"})
engine.query("INSERT INTO headgate_retention (project_id, days) VALUES ('p', 1)")
engine.close()
"""
SYNCED = re.compile(r"f(?:data)?sync\(\d+<(?P<path>[^>]*)>")
RENAMED = re.compile(r'rename\w*\(.*?"(?P<old>[^"]*)/", (?:[^"]*, )?"(?P<new>[^"]*)/"')
FILES = {"data.bin", "data.cmrk4", "checksums.txt", "columns.txt", "count.txt", "primary.cidx"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[set[str], list[str]]]:
    """By the name of each part of events: the files of it that were synced before it got its name, and which folders
    were synced after."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("synced")
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2"
    command = ["strace", "-f", "-y", "-e", calls, "-o", str(folder / "calls"), sys.executable, "-c", SCRIPT]
    ran = subprocess.run([*command, str(folder / "data")], capture_output=True, text=True, check=False)
    if "ptrace" in ran.stderr:
        pytest.skip("this machine lets nobody trace a process")
    assert ran.returncode == 0, ran.stderr
    return read((folder / "calls").read_text())


def read(calls: str) -> dict[str, tuple[set[str], list[str]]]:
    synced: list[str] = []
    found: dict[str, tuple[set[str], list[str]]] = {}
    for line in calls.splitlines():
        if call := SYNCED.search(line):
            synced.append(call["path"])
            for _, after in found.values():
                after.append(call["path"])
        elif (call := RENAMED.search(line)) and Path(call["old"]).name.startswith("tmp_"):
            before = {Path(path).name for path in synced if str(Path(path).parent) == call["old"]}
            found[call["new"]] = before, []
    return found


@pytest.mark.parametrize("part", ["1_1_0", "2_2_0", "1_2_1", "1_2_1_3"], ids=["insert", "again", "merge", "mutation"])
def test_a_part_is_synced_before_it_has_its_name_and_the_name_after(parts, part: str):
    names = [
        name for name, (files, _) in parts.items() if re.fullmatch(rf".*/\d{{6}}_{part}", name) and "data.bin" in files
    ]
    assert names, sorted(parts)
    for name in names:
        before, after = parts[name]
        assert before >= FILES, name
        assert {name, str(Path(name).parent)} <= set(after), name
