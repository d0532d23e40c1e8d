import pytest
from headgate_service.directory.project import (
    emptiest_shard,
    slug_of,
    valid_monthly_limit,
    valid_name,
    valid_rate_limit,
    valid_scopes,
    valid_slug,
)
from headgate_service.errors import InvalidArgument
from headgate_service.model.key import SCOPES, KeyKind
from headgate_service.model.rate_limit import RateLimit


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Web Shop", "web-shop"),
        ("  Crème brûlée! ", "creme-brulee"),
        ("a--b__c", "a-b-c"),
        ("日本", ""),
        ("x" * 62 + " yz", "x" * 62),
        ("7", "7"),
    ],
)
def test_a_name_suggests_a_slug(name: str, slug: str) -> None:
    assert slug_of(name) == slug
    assert not slug or valid_slug(slug) == slug


@pytest.mark.parametrize("slug", ["a", "0", "a-b", "a" * 63])
def test_good_slugs(slug: str) -> None:
    assert valid_slug(slug) == slug


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a b", "a_b", "é", "a" * 64, "a\n", "prj_0"])
def test_bad_slugs(slug: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        valid_slug(slug)
    assert caught.value.field == "slug"


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x00b", "a\nb", "\ud800"])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        valid_name(name)
    assert caught.value.field == "name"


@pytest.mark.parametrize("limit", [0, -1, 2**53])
def test_bad_monthly_limits(limit: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        valid_monthly_limit(limit)
    assert caught.value.field == "monthly_limit"


@pytest.mark.parametrize(
    ("limit", "field"),
    [
        (RateLimit(0, 60_000), "rate_limit.requests"),
        (RateLimit(2**53, 60_000), "rate_limit.requests"),
        (RateLimit(1, 0), "rate_limit.window"),
        (RateLimit(1, -1000), "rate_limit.window"),
        (RateLimit(1, 1500), "rate_limit.window"),
        (RateLimit(1, 86_401_000), "rate_limit.window"),
    ],
)
def test_bad_rate_limits(limit: RateLimit, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        valid_rate_limit(limit)
    assert caught.value.field == field


def test_limits_may_be_absent() -> None:
    assert valid_monthly_limit(None) is None
    assert valid_rate_limit(None) is None


def test_an_organisation_key_without_scopes_may_write_events_and_no_more() -> None:
    assert valid_scopes(KeyKind.ORGANISATION, []) == ("events:write",)


def test_an_organisation_key_gets_exactly_the_scopes_asked_for() -> None:
    assert valid_scopes(KeyKind.ORGANISATION, ["logs:read", "analytics:read", "logs:read"]) == (
        "analytics:read",
        "logs:read",
    )
    assert set(valid_scopes(KeyKind.ORGANISATION, SCOPES)) == set(SCOPES)


def test_there_are_the_ten_documented_scopes_and_the_one_for_events() -> None:
    documented = {
        f"{what}:{how}" for what in ("content", "prompts", "simulations", "products") for how in ("read", "write")
    }
    assert set(SCOPES) == documented | {"logs:read", "analytics:read", "events:write"}


def test_an_unknown_scope_is_named() -> None:
    with pytest.raises(InvalidArgument, match="events:rite") as caught:
        valid_scopes(KeyKind.ORGANISATION, ["events:write", "events:rite"])
    assert caught.value.field == "scopes"


@pytest.mark.parametrize("kind", [KeyKind.PUBLIC, KeyKind.TEST, KeyKind.SECRET])
def test_other_kinds_take_no_scopes(kind: KeyKind) -> None:
    assert valid_scopes(kind, []) == ()
    with pytest.raises(InvalidArgument):
        valid_scopes(kind, ["events:write"])


def test_projects_spread_over_the_shards() -> None:
    assert emptiest_shard({}) == 0
    assert emptiest_shard({0: 1}) == 1
    assert emptiest_shard(dict.fromkeys(range(64), 2) | {40: 1}) == 40
