"""Parts of the store that are broken when it opens."""

from collections.abc import Callable
from pathlib import Path

from headgate_service.store.client import Store
from headgate_service.store.damage import Damage, DamagedPart


def cut_off(folder: Path, part: str) -> None:
    """What a power cut leaves of a part that was not synced."""
    (found,) = folder.glob(f"store/data/store/*/*/{part}")
    for file in found.iterdir():
        file.write_bytes(b"")


async def test_broken_and_detached_parts_are_found_and_said_until_they_are_settled(own_store: Callable):
    store = own_store()
    for number in range(3):
        await store.ask(
            "INSERT INTO events (project_id, event_id, receive_time)"
            " SELECT 'p', {id:String}, '2026-11-03 00:00:00' FROM numbers(2)",
            param_id=str(number),
        )
    client = Store(store.url)
    damage = Damage(client)
    assert await damage.parts() == []
    assert store.end() == 0
    assert "damaged" not in store.log
    cut_off(store.folder, "202611_2_2_0")
    await client.close()
    store.start()
    broken = DamagedPart("broken-on-start_202611_2_2_0", "broken-on-start", "202611")
    assert broken.from_ms == 1793491200000
    assert await damage.parts() == [broken]
    assert "parts of the store are damaged" in store.log
    assert broken.name in store.log
    await store.ask("ALTER TABLE events DETACH PART '202611_3_3_0'")
    detached = DamagedPart("202611_3_3_0", "detached", "202611")
    assert await damage.parts() == [detached, broken]
    await damage.settle([broken])
    assert await damage.parts() == [detached]
    await store.ask("ALTER TABLE events ATTACH PART '202611_3_3_0'")
    assert await damage.parts() == []
    await client.close()
