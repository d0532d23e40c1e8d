"""What a person does with their account: sign in and out, change the password."""

from collections.abc import Callable

from sqlalchemy import select

from headgate_service.auth.audit import CallOrigin, record
from headgate_service.auth.passwords import Attempts, Passwords, valid_password
from headgate_service.auth.sessions import FreshSession, HeldSession, Sessions
from headgate_service.auth.trail import Trail
from headgate_service.auth.users import User, Users, canonical_email
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import UserRow
from headgate_service.errors import InvalidArgument, LoginFailed, TooManyAttempts
from headgate_service.model.principal import Principal, PrincipalKind


class Accounts:
    """Every call may raise ControlDbUnavailable; those with a password also HashingBusy, TooManyAttempts, and
    RedisUnavailable and ResponseError."""

    def __init__(
        self,
        database: ControlDb,
        users: Users,
        sessions: Sessions,
        passwords: Passwords,
        attempts: Attempts,
        trail: Trail,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._attempts = attempts
        self._trail = trail
        self._now_ms = now_ms

    async def login(self, email: str, password: str, before: str, origin: CallOrigin) -> tuple[User, FreshSession]:
        """A new session; the one of the text `before` ends. Raises LoginFailed, after as much work whoever is meant."""
        account = canonical_email(email)
        kept = await self._checked(account, password, origin)
        anew = await self._passwords.hash(password) if self._passwords.outdated(kept) else kept
        async with self._database.change() as (session, _):
            # Since it was checked the password may have been changed, or the account disabled.
            row = await session.scalar(select(UserRow).where(UserRow.email == account, UserRow.password == kept))
            if row is None or row.disabled_at is not None:
                raise LoginFailed(_FAILED)
            row.password = anew
            await self._sessions.end(session, before)
            await self._sessions.clear(session)
            fresh = self._sessions.add(session, row.id, PrincipalKind.SESSION)
            who = Principal(PrincipalKind.SESSION, row.id, row.email, credential_id=fresh.id)
            record(session, who, "session.login", row.email, origin, now_ms=self._now_ms())
            user = User.of(row)
        await self._attempts.succeeded(account, origin.address)
        self._trail.signed_in()
        return user, fresh

    async def logout(self, held: HeldSession, text: str, origin: CallOrigin) -> None:
        """Ends a session."""
        async with self._database.change() as (session, _):
            await self._sessions.end(session, text)
            person = held.principal
            record(session, person, "session.logout", person.email, origin, now_ms=self._now_ms())

    async def change_password(self, person: Principal, password: str, wanted: str, origin: CallOrigin) -> None:
        """Changes a person's password; their other sessions and tokens end. Raises LoginFailed, InvalidArgument."""
        try:
            valid_password(wanted, person.email)
        except InvalidArgument as error:
            raise InvalidArgument("new_password", error.message) from None
        await self._checked(person.email, password, origin)
        await self._users.change_password(person, await self._passwords.hash(wanted), origin)
        await self._attempts.succeeded(person.email, origin.address)

    async def _checked(self, account: str, password: str, origin: CallOrigin) -> str:
        """What is kept of the password. Raises LoginFailed, TooManyAttempts."""
        try:
            await self._attempts.take(account, origin.address)
        except TooManyAttempts as error:
            await self._trail.limited(account, error.limit, origin)
            raise
        async with self._database.read() as session:
            found = await session.execute(select(UserRow.password, UserRow.disabled_at).where(UserRow.email == account))
            known = found.first()
        good = await self._passwords.verify(known.password if known else None, password)
        if known is None or not good or known.disabled_at is not None:
            await self._trail.failed(account, origin)
            raise LoginFailed(_FAILED)
        kept: str = known.password
        return kept


_FAILED = "the e-mail address and the password do not belong together"
