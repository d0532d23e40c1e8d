"""Passwords: what they may be, and how they are kept and checked."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from importlib.resources import files
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from headgate_service.config import AttemptLimits
from headgate_service.errors import HashingBusy, InvalidArgument, TooManyAttempts
from headgate_service.redis.pipeline import RedisPipeline

MAX_KNOWN_ADDRESSES = 20
KNOWN_MS = 90 * 24 * 3600 * 1000


class Attempts:
    """Counts attempts in Redis: from an address, from an address at an account, and at an account from anywhere.

    An address that tried too often is shut out, so that nobody locks an account for others. Too many attempts at an
    account from anywhere make each wait, longer each time, but for addresses that have signed in before. Every call may
    raise RedisUnavailable and ResponseError: passwords that cannot be counted are not checked.
    """

    def __init__(self, redis: RedisPipeline, limits: AttemptLimits) -> None:
        self._redis = redis
        self._limits = limits
        scripts = files(__package__).joinpath("scripts")
        self._take = scripts.joinpath("attempt.lua").read_bytes()
        self._signed_in = scripts.joinpath("signed_in.lua").read_bytes()

    async def take(self, account: str, address: str) -> None:
        """Counts an attempt before it is made, so that no burst gets past the limits. Raises TooManyAttempts."""
        limits, place = self._limits, _network(address)
        wait_ms, *which = await self._redis.execute(
            "EVAL",
            self._take,
            5,
            *_keys(account, place),
            limits.address.requests,
            limits.address.window_ms,
            limits.account.requests,
            limits.account.window_ms,
            limits.anywhere,
            place,
        )
        if int(wait_ms):
            message = "too many failed attempts to sign in: wait, and try again"
            raise TooManyAttempts(message, int(wait_ms) / 1000, which[0].decode())

    async def succeeded(self, account: str, address: str) -> None:
        """Gives the attempt back, forgets the others of the address at the account, and knows the address from now
        on."""
        place = _network(address)
        keys = _keys(account, place)[:4]
        await self._redis.execute("EVAL", self._signed_in, 4, *keys, place, MAX_KNOWN_ADDRESSES, KNOWN_MS)

    async def unlock(self, account: str, now_ms: int) -> None:
        """Forgets the attempts at an account, from wherever."""
        _, _, anywhere, _, unlocked = _keys(account, "")
        await self._redis.execute("SET", unlocked, now_ms, "PX", self._limits.account.window_ms)
        await self._redis.execute("DEL", anywhere)


def _keys(account: str, place: str) -> tuple[str, ...]:
    # Hashed: what is tried as an address may be a password in the wrong field.
    hashed = sha256(account.encode(errors="surrogatepass")).hexdigest()[:32]
    return (
        f"headgate:login:address:{place}",
        f"headgate:login:pair:{hashed}:{place}",
        f"headgate:login:account:{hashed}",
        f"headgate:login:known:{hashed}",
        f"headgate:login:unlocked:{hashed}",
    )


def _network(address: str) -> str:
    """The address, of IPv6 the /64 that one client has all of; `unknown` where there is none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address or "unknown"
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))


MIN_CHARACTERS, MAX_CHARACTERS = 10, 1_000
MIN_DIFFERENT = 5
# OWASP's Argon2id: 19 MiB for 15 ms or so, and as much again for each one at work beside it.
PASSES, MEMORY_KIB, LANES = 2, 19 * 1024, 1
AT_ONCE, WAITING = 2, 32

_Made = TypeVar("_Made")


def valid_password(password: str, email: str = "") -> str:
    """A password that somebody of this address may take. Raises InvalidArgument."""
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise InvalidArgument("password", f"must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")
    if _is_common(password, email):
        raise InvalidArgument(
            "password", "is among the first that an attacker tries: take several words or random text"
        )
    return password


def _is_common(password: str, email: str) -> bool:
    """Whether it is a common word, one's address, a row of keys or a few characters, with digits and signs around."""
    plain = unicodedata.normalize("NFKC", password).casefold()
    word = plain.strip("".join(character for character in set(plain) if not character.isalpha()))
    # Of `abcabcabc`, `abc`.
    part = (plain + plain).index(plain, 1)
    own = {email.casefold(), email.partition("@")[0].casefold()} - {""}
    return (
        len(set(plain)) < MIN_DIFFERENT
        or part <= len(plain) // 2
        or plain in _common_words()
        or word in _common_words()
        or word in own
        or plain in own
        or _is_row(plain)
    )


def _is_row(text: str) -> bool:
    """Whether each character follows the one before it, or goes before it, as in 1234567890."""
    steps = {(ord(after) - ord(before)) % 10 for before, after in pairwise(text)} if text.isdigit() else set()
    letters = {ord(after) - ord(before) for before, after in pairwise(text)}
    return steps in ({1}, {9}) or letters in ({1}, {-1})


@cache
def _common_words() -> frozenset[str]:
    return frozenset(files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8").split())


class Passwords:
    """Argon2id in threads of its own, a few at once: the event loop goes on, and memory is bounded."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="passwords")
        self._most = at_once + waiting
        self._under_way = 0
        # Of a password that nobody has: to check against it is as much work as against anybody's.
        self._nobodys = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """What is kept of a password: the hash with its salt and parameters. Raises HashingBusy."""
        return await self._run(self._hasher.hash, _normal(password))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether it is the password; False, after the same work, where `kept` is None. Raises HashingBusy."""
        return await self._run(self._verify, kept or self._nobodys, _normal(password)) and kept is not None

    def outdated(self, kept: str) -> bool:
        """Whether it was hashed with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Takes nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[..., _Made], *arguments: object) -> _Made:
        if self._under_way >= self._most:
            raise HashingBusy("too many passwords are being checked: retry in a moment")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._under_way -= 1

    def _verify(self, kept: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False


def _normal(password: str) -> bytes:
    """The same bytes however a keyboard composes its characters."""
    return unicodedata.normalize("NFKC", password[: MAX_CHARACTERS + 1]).encode(errors="surrogatepass")
