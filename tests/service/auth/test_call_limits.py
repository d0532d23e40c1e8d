import pytest
from headgate_service.auth import call_limits
from headgate_service.auth.call_limits import CallLimits
from headgate_service.config import TenantLimits
from headgate_service.errors import TooManyCalls
from headgate_service.model.principal import OPERATOR, Principal, PrincipalKind
from headgate_service.model.rate_limit import RateLimit

LIMITS = TenantLimits(calls=RateLimit(2, 60_000), organisation_calls=RateLimit(3, 60_000))


def person(name: str, organisation: str | None = None) -> Principal:
    return Principal(PrincipalKind.SESSION, name, organisation_id=organisation)


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def calls(clock):
    return CallLimits(LIMITS, lambda: clock[0])


def test_a_caller_has_so_many_calls_in_a_window(calls, clock):
    for _ in range(2):
        calls.take(person("ada"))
    clock[0] += 20
    with pytest.raises(TooManyCalls, match=r"tenants\.calls") as refused:
        calls.take(person("ada"))
    assert refused.value.retry_after == 40
    calls.take(person("bob"))
    calls.take(Principal(PrincipalKind.KEY, credential_id="key_1"))
    clock[0] += 40
    calls.take(person("ada"))


def test_an_organisation_has_so_many_calls_together(calls):
    for name in ("ada", "bob", "eve"):
        calls.take(person(name, "org"))
    with pytest.raises(TooManyCalls, match=r"tenants\.organisation_calls"):
        calls.take(person("dan", "org"))
    calls.take(person("dan", "other"))


def test_the_operator_is_not_limited_and_few_callers_are_remembered(calls, monkeypatch):
    for _ in range(9):
        calls.take(OPERATOR)
    monkeypatch.setattr(call_limits, "MAX_CALLERS", 2)
    for number in range(9):
        calls.take(person(str(number)))
    assert len(calls._windows) == 2
