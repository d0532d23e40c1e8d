"""How often people and organisations call: counted in memory, by each service for itself."""

from collections import OrderedDict
from collections.abc import Callable

from headgate_service.config import TenantLimits
from headgate_service.errors import TooManyCalls
from headgate_service.model.principal import Principal, PrincipalKind
from headgate_service.model.rate_limit import RateLimit

MAX_CALLERS = 10_000


class CallLimits:
    """`clock` is in seconds. A caller's window starts with their first call in it."""

    def __init__(self, limits: TenantLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        # By caller: when the window ends, and the calls in it.
        self._windows: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def take(self, principal: Principal) -> None:
        """Counts a call. Raises TooManyCalls."""
        if principal.kind is PrincipalKind.OPERATOR:
            return
        limits = self._limits
        self._take(("caller", principal.user_id or principal.credential_id), limits.calls, "tenants.calls")
        if principal.organisation_id:
            of_all = limits.organisation_calls
            self._take(("organisation", principal.organisation_id), of_all, "tenants.organisation_calls")

    def _take(self, who: tuple[str, str], limit: RateLimit, setting: str) -> None:
        now = self._clock()
        until, calls = self._windows.get(who, (0.0, 0))
        if until <= now:
            self._windows.pop(who, None)
            until, calls = now + limit.window_ms / 1000, 0
        if calls >= limit.requests:
            raise TooManyCalls(
                f"too many calls: the {who[0]} may make {limit.requests} in {limit.window_ms // 1000} s (`{setting}`)",
                retry_after=until - now,
            )
        self._windows[who] = (until, calls + 1)
        if len(self._windows) > MAX_CALLERS:
            self._windows.popitem(last=False)
