"""How often a password may be tried."""

from hashlib import sha256
from importlib.resources import files

from headgate_service.access.errors import TooManyAttempts
from headgate_service.accounts.attempt_limits import AttemptLimits
from headgate_service.log.redis_pipeline import RedisPipeline


class Attempts:
    """Counts attempts in Redis, by account and by address; one that succeeds is given back.

    Every call may raise RedisUnavailable and ResponseError: passwords that cannot be counted are not checked.
    """

    def __init__(self, redis: RedisPipeline, limits: AttemptLimits) -> None:
        self._redis = redis
        self._limits = limits
        self._script = files(__package__).joinpath("scripts", "attempt.lua").read_bytes()

    async def take(self, account: str, address: str) -> None:
        """Counts an attempt before it is made, so that no burst gets past the limit. Raises TooManyAttempts."""
        limits = self._limits
        for key, most, window_ms in (
            # First: an address that tried too often must not go on to use up the attempts of others' accounts.
            (_address(address), limits.address, limits.address_window_ms),
            (_account(account), limits.account, limits.account_window_ms),
        ):
            wait_ms = int(await self._redis.execute("EVAL", self._script, 1, key, most, window_ms))
            if wait_ms:
                raise TooManyAttempts("too many failed attempts to sign in: wait, and try again", wait_ms / 1000)

    async def succeeded(self, account: str, address: str) -> None:
        """Forgets the account's attempts, and gives the address its one back."""
        await self._redis.execute("DEL", _account(account))
        # An expired counter must not come back as a negative one that never expires.
        if await self._redis.execute("EXISTS", _address(address)):
            await self._redis.execute("DECR", _address(address))


def _account(email: str) -> str:
    # Hashed: what is tried as an address may be a password in the wrong field.
    return f"headgate:login:account:{sha256(email.encode(errors='surrogatepass')).hexdigest()[:32]}"


def _address(address: str) -> str:
    return f"headgate:login:address:{address or 'unknown'}"
