"""What was tried in vain, in the audit log and in metrics; bounded, so that nobody fills the log."""

from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import select

from headgate_service.auth.audit import MAX_TARGET_CHARACTERS, CallOrigin
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import AuditRow, UserRow
from headgate_service.errors import ControlDbUnavailable
from headgate_service.model.key import KEY_PREFIXES

# Entries a minute; of one kind, from one address at one account, there is one.
MAX_ENTRIES = 60
MINUTE_MS = 60_000

_PREFIXES = {"hgs_": "session", "hgc_": "cli", **{prefix: f"{kind} key" for kind, prefix in KEY_PREFIXES.items()}}
_log = structlog.get_logger()


class TrailMetrics:
    """The metrics of signing in and of what was refused."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sign_ins = Counter(
            "headgate_sign_ins",
            "Attempts to sign in: succeeded, failed, or made to wait by a limit (address, pair, account).",
            ["outcome"],
            registry=registry,
        )
        self.credentials = Counter(
            "headgate_refused_credentials",
            "Credentials that calls of the app API were refused for, by what they look like.",
            ["kind"],
            registry=registry,
        )
        self.skipped = Counter(
            "headgate_audit_skipped_entries",
            "Refusals that are counted here and not in the audit log, because there were too many of them.",
            registry=registry,
        )


class Trail:
    """Writes an entry for what was refused. `now_ms` is milliseconds since 1970. No call fails."""

    def __init__(self, database: ControlDb, now_ms: Callable[[], int], registry: CollectorRegistry) -> None:
        self._database = database
        self._now_ms = now_ms
        self._minute = 0
        self._entries = 0
        # No more than MAX_ENTRIES of them.
        self._alike: set[tuple[str, str, str]] = set()
        self._unwritten = 0
        self._metrics = TrailMetrics(registry)

    def signed_in(self) -> None:
        """Somebody signed in."""
        self._metrics.sign_ins.labels("succeeded").inc()

    async def failed(self, account: str, origin: CallOrigin) -> None:
        """A password was wrong, or the account is unknown or disabled."""
        self._metrics.sign_ins.labels("failed").inc()
        await self._write("session.refuse", account, "", origin)

    async def limited(self, account: str, limit: str, origin: CallOrigin) -> None:
        """An attempt was not made, because of a limit."""
        self._metrics.sign_ins.labels(limit).inc()
        await self._write("session.lock", account, f" by {limit}", origin)

    async def credential_refused(self, text: str, origin: CallOrigin) -> None:
        """A credential was shown that opens nothing."""
        kind = _kind(text)
        self._metrics.credentials.labels(kind).inc()
        await self._write("credential.refuse", "", kind, origin)

    async def _write(self, action: str, account: str, more: str, origin: CallOrigin) -> None:
        now = self._now_ms()
        if not self._has_room(now, (action, account, origin.address)):
            self._unwritten += 1
            self._metrics.skipped.inc()
            return
        skipped, self._unwritten = self._unwritten, 0
        try:
            async with self._database.write() as session:
                wanted = select(UserRow.id, UserRow.email).where(UserRow.email == account)
                user = (await session.execute(wanted)).first()
                # What is no account's address may be a password in the wrong field.
                whom = user.email if user else "an unknown account" if account or action != "credential.refuse" else ""
                target = f"{whom}{more}" + (f", after {skipped} that are not listed" if skipped else "")
                session.add(
                    AuditRow(
                        at=now,
                        project_id=None,
                        actor="anonymous",
                        user_id=user.id if user else None,
                        credential="none",
                        credential_id="",
                        action=action,
                        target=target[:MAX_TARGET_CHARACTERS],
                        address=origin.address,
                        request_id=origin.request_id,
                    )
                )
        except ControlDbUnavailable as error:
            _log.warning("a refusal is not in the audit log", action=action, error=str(error))

    def _has_room(self, now: int, alike: tuple[str, str, str]) -> bool:
        if now // MINUTE_MS != self._minute:
            self._minute, self._entries = now // MINUTE_MS, 0
            self._alike.clear()
        if self._entries >= MAX_ENTRIES or alike in self._alike:
            return False
        self._entries += 1
        self._alike.add(alike)
        return True


def _kind(text: str) -> str:
    """What a credential looks like, for people; nothing of it."""
    if text.count(".") == 2:
        return "jwt"
    return next((kind for prefix, kind in _PREFIXES.items() if text.startswith(prefix)), "other")
