"""What the analytics store holds of a project."""

from headgate_service.store.client import Store
from headgate_service.store.schema import TABLE

# The rows are out of sight at once where the store waits for it, and out of its files when it gets to it.
DELETE = f"ALTER TABLE {TABLE} DELETE WHERE project_id = {{project:String}}"
SETTINGS = {"mutations_sync": "1"}
SECONDS = 60.0


class StoredEvents:
    """Deletes them. Raises StoreFailed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def forget(self, project_id: str) -> None:
        """Deletes all that the store holds of a project; twice is no error."""
        await self._store.command(DELETE, {"project": project_id}, SETTINGS, deadline=SECONDS)
