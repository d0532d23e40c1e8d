import asyncio
import secrets

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.secret_box import RECEIPT_SIGNING, Secrets


async def test_a_secret_is_made_once_for_every_process(control_db: ControlDb, control_url: str) -> None:
    asked = [Secrets(ControlDb(control_url), secrets.token_bytes).get(RECEIPT_SIGNING) for _ in range(8)]
    made = set(await asyncio.gather(*asked))
    assert len(made) == 1
    assert len(made.pop()) == 32


async def test_each_name_has_its_own(control_db: ControlDb) -> None:
    kept = Secrets(control_db, secrets.token_bytes)
    assert await kept.get("one") != await kept.get("other")
    assert await kept.get("one") == await kept.get("one")
