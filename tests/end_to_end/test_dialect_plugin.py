"""A dialect that somebody else wrote: made by `dialects new`, installed, and named in headgate.toml."""

import os

import httpx
from headgate_cli.commands.dialects import package

BROKEN = "raise RuntimeError('it does not load')"
PARSE = "\n    def parse(self, inbound: Inbound) -> Parsed:"
RAISES = """
    def parse(self, inbound: Inbound) -> Parsed:
        if b"explode" in inbound.body:
            raise RuntimeError("a defect of the plugin")
        return self._parse(inbound)

    def _parse(self, inbound: Inbound) -> Parsed:"""


def install(folder, name: str, text: str) -> None:
    """As pip would: the module, and metadata that name its entry point."""
    module = folder / f"headgate_dialect_{name}"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "dialect.py").write_text(text)
    metadata = folder / f"headgate_dialect_{name}-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: headgate-dialect-{name}\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text(f"[headgate.dialects.v1]\n{name} = headgate_dialect_{name}.dialect\n")


def test_events_of_a_plugins_api_are_delivered_once_and_in_the_books(short_dir, make_headgate, wait_until):
    text = package("acme")["src/headgate_dialect_acme/dialect.py"]
    assert PARSE in text
    install(short_dir / "site", "acme", text.replace(PARSE, RAISES))
    install(short_dir / "site", "broken", BROKEN)
    headgate = make_headgate('[gateway]\ndialects = ["acme", "broken"]\n')
    headgate.environment = {"PYTHONPATH": f"{short_dir / 'site'}:{os.environ.get('PYTHONPATH', '')}"}
    headgate.start()
    url, key = f"{headgate.http}/acme/events", {"X-API-Key": headgate.keys["public"]}

    events = [{"id": f"e-{number}", "name": "signup", "user": "u", "n": number} for number in range(5)]
    sent = {"events": [*events, events[0], {"id": "no-name"}]}
    answer = httpx.post(url, json=sent, headers=key, timeout=20)
    assert answer.json()["received"] == 6, answer.text
    assert httpx.post(url, json=sent, headers=key, timeout=20).json()["received"] == 6
    dry = httpx.post(url, json={"events": [events[0] | {"id": "dry"}]}, headers=key | {"Headgate-Dry-Run": "1"})
    assert dry.json()["dryRun"]["events"][0]["dialect"] == "DIALECT_ACME"

    assert httpx.post(url, json=sent, headers={"X-API-Key": headgate.keys["secret"]}).status_code == 401
    assert httpx.post(url, json=sent).status_code == 401
    broken = httpx.post(url, content=b"explode", headers=key)
    assert (broken.status_code, broken.json()["error"]) == (503, "unavailable")
    neighbour = httpx.post(f"{headgate.http}/api/analytics", json={"events": [{"type": "neighbour"}]}, timeout=20)
    assert neighbour.json() == {"success": True, "received": 1}

    wait_until(lambda: len(headgate.written()) >= 6, "every event is written")
    written = [event for event in headgate.written() if event["name"] == "signup"]
    assert sorted(event["eventId"] for event in written) == [f"e-{number}" for number in range(5)]
    assert {event["dialect"] for event in written} == {"DIALECT_ACME"}
    metrics = httpx.get(f"{headgate.http}/metrics").text
    assert 'headgate_gateway_requests_total{dialect="acme",status="200"} 3.0' in metrics
    assert "a dialect is BROKEN" in headgate.log_file.read_text()
    assert headgate.stop() == 0
