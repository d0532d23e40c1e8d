"""AccountService and UserService of a running service."""

import asyncio
import contextlib

import grpc
import pytest
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from headgate.v1 import account_service_pb2 as wire
from headgate.v1 import project_service_pb2 as project_service
from headgate.v1 import role_pb2
from headgate.v1 import user_service_pb2 as users
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub
from headgate_service.config import AttemptLimits

PASSWORD = "a password of the tests"


def shown(text: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {text}")]


def reason(error: grpc.RpcError) -> str:
    """What ErrorInfo says."""
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in Status.FromString(details).details)
    return info.reason


async def refused(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refusal:
        await call
    return refusal.value.code(), reason(refusal.value)


async def login(service, email: str, password: str = PASSWORD, before: str = "") -> wire.LoginResponse:
    return await service.accounts.Login(
        wire.LoginRequest(email=email, password=password), metadata=shown(before) if before else ()
    )


@pytest.fixture
async def person(service) -> str:
    membership = users.CreateUserRequest.Membership(project="default", role=role_pb2.ROLE_MEMBER)
    made = await service.users.CreateUser(
        users.CreateUserRequest(email="Ada@Example.com", password=PASSWORD, memberships=[membership])
    )
    return made.user.email


async def session_of(service, text: str) -> wire.GetSessionResponse:
    return await service.accounts.GetSession(wire.GetSessionRequest(), metadata=shown(text))


async def test_the_first_start_makes_an_owner_who_can_sign_in(service):
    made = await login(service, service.owner["email"], service.owner["password"])
    assert (await session_of(service, made.session)).user.email == "owner@localhost"
    assert service.config.first_start_file.stat().st_mode & 0o777 == 0o600


async def test_a_session_opens_and_ends(service, person):
    assert person == "ada@example.com"
    made = await login(service, "ADA@example.com ")
    assert (await session_of(service, made.session)).kind == wire.SESSION_KIND_SESSION
    await service.accounts.Logout(wire.LogoutRequest(), metadata=shown(made.session))
    ended = (grpc.StatusCode.UNAUTHENTICATED, "credential_invalid")
    assert await refused(session_of(service, made.session)) == ended


async def test_signing_in_ends_the_session_that_was_shown_and_no_other(service, person):
    old, other = (await login(service, person)).session, (await login(service, person)).session
    new = (await login(service, person, before=old)).session
    await session_of(service, other)
    await session_of(service, new)
    assert await refused(session_of(service, old)) == (grpc.StatusCode.UNAUTHENTICATED, "credential_invalid")


async def test_a_wrong_password_an_unknown_and_a_disabled_person_are_refused_alike(service, person):
    failed = (grpc.StatusCode.UNAUTHENTICATED, "login_failed")
    assert await refused(login(service, person, "another password")) == failed
    assert await refused(login(service, "nobody@example.com")) == failed
    assert await refused(login(service, "")) == failed
    assert await refused(login(service, "no address")) == failed
    before = (await login(service, person)).session
    await service.users.DisableUser(users.DisableUserRequest(user=person))
    assert await refused(login(service, person)) == failed
    assert await refused(session_of(service, before)) == (grpc.StatusCode.UNAUTHENTICATED, "credential_invalid")


async def test_a_changed_password_ends_the_others_and_only_a_session_changes_it(service, person):
    mine, other = (await login(service, person)).session, (await login(service, person)).session
    token = await service.accounts.CreateCliToken(wire.CreateCliTokenRequest(), metadata=shown(mine))
    cli = (await service.accounts.RedeemCliToken(wire.RedeemCliTokenRequest(token=token.token))).access_token

    def change(text: str, old: str = PASSWORD, new: str = "the next password"):
        request = wire.ChangePasswordRequest(old_password=old, new_password=new)
        return service.accounts.ChangePassword(request, metadata=shown(text))

    assert await refused(change(cli)) == (grpc.StatusCode.PERMISSION_DENIED, "session_required")
    assert await refused(change(mine, old="wrong")) == (grpc.StatusCode.UNAUTHENTICATED, "login_failed")
    assert await refused(change(mine, new="short")) == (grpc.StatusCode.INVALID_ARGUMENT, "invalid_argument")
    await change(mine)
    await session_of(service, mine)
    for ended in (other, cli):
        assert await refused(session_of(service, ended)) == (grpc.StatusCode.UNAUTHENTICATED, "credential_invalid")
    assert await refused(login(service, person)) == (grpc.StatusCode.UNAUTHENTICATED, "login_failed")
    await login(service, person, "the next password")


async def test_the_file_of_the_first_start_goes_with_its_password(service, person):
    file = service.config.first_start_file
    other = await service.users.SetPassword(users.SetPasswordRequest(user=person, password=PASSWORD))
    assert (other.first_start_file_removed, file.exists()) == (False, True)
    owner = service.owner
    mine = (await login(service, owner["email"], owner["password"])).session
    wanted = wire.ChangePasswordRequest(old_password=owner["password"], new_password=PASSWORD)
    changed = await service.accounts.ChangePassword(wanted, metadata=shown(mine))
    assert (changed.first_start_file_removed, file.exists()) == (True, False)
    again = await service.users.SetPassword(users.SetPasswordRequest(user=owner["email"], password=PASSWORD))
    assert not again.first_start_file_removed


async def test_of_fifty_who_redeem_a_token_at_once_one_gets_it(service, person):
    session = (await login(service, person)).session
    token = await service.accounts.CreateCliToken(wire.CreateCliTokenRequest(), metadata=shown(session))
    tries = [
        service.accounts.RedeemCliToken(wire.RedeemCliTokenRequest(token=token.token), timeout=30) for _ in range(50)
    ]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    won = [answer for answer in answers if not isinstance(answer, BaseException)]
    lost = [reason(answer) for answer in answers if isinstance(answer, grpc.RpcError)]
    assert (len(won), lost) == (1, ["token_invalid"] * 49)
    assert (await session_of(service, won[0].access_token)).kind == wire.SESSION_KIND_CLI
    denied = service.accounts.CreateCliToken(wire.CreateCliTokenRequest(), metadata=shown(won[0].access_token))
    assert await refused(denied) == (grpc.StatusCode.PERMISSION_DENIED, "session_required")


async def test_failed_attempts_are_limited_and_the_wait_is_said(service, person):
    for _ in range(service.config.attempts.account.requests):
        assert (await refused(login(service, person, "wrong")))[1] == "login_failed"
    with pytest.raises(grpc.RpcError) as refusal:
        await login(service, person)
    assert (refusal.value.code(), reason(refusal.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited")
    retry = error_details_pb2.RetryInfo()
    details = Status.FromString(dict(refusal.value.trailing_metadata())["grpc-status-details-bin"]).details
    assert any(detail.Unpack(retry) for detail in details)
    assert 0 < retry.retry_delay.seconds <= 900
    # Others still can.
    await login(service, service.owner["email"], service.owner["password"])


def from_address(service, address: str) -> tuple[tuple[str, str], ...]:
    return (("headgate-gateway-token", service.config.gateway_token), ("headgate-client-address", address))


async def sign_in_from(service, email: str, address: str, password: str = PASSWORD) -> str:
    request = wire.LoginRequest(email=email, password=password)
    return (await service.accounts.Login(request, metadata=from_address(service, address))).session


async def test_nobody_locks_an_account_for_others(service, person):
    for _ in range(service.config.attempts.account.requests):
        await refused(sign_in_from(service, person, "192.0.2.66", "wrong"))
    assert (await refused(sign_in_from(service, person, "192.0.2.66")))[1] == "rate_limited"
    await sign_in_from(service, person, "192.0.2.7")
    # What was locked is locked for one more address of the same network of IPv6, too.
    for _ in range(service.config.attempts.account.requests):
        await refused(sign_in_from(service, person, "2001:db8::1", "wrong"))
    assert (await refused(sign_in_from(service, person, "2001:db8::2")))[1] == "rate_limited"


async def test_attempts_from_many_addresses_make_each_wait_longer_but_for_known_ones(start_service):
    service = await start_service(attempts=AttemptLimits(anywhere=3))
    owner = service.owner["email"]
    await sign_in_from(service, owner, "192.0.2.1", service.owner["password"])
    for number in range(3):
        await refused(sign_in_from(service, owner, f"198.51.100.{number}", "wrong"))
    good = service.owner["password"]
    assert (await refused(sign_in_from(service, owner, "203.0.113.1", good)))[1] == "rate_limited"
    await sign_in_from(service, owner, "192.0.2.1", good)
    assert (await refused(sign_in_from(service, owner, "203.0.113.1", good)))[1] == "rate_limited"
    await service.users.UnlockUser(users.UnlockUserRequest(user=owner))
    await sign_in_from(service, owner, "203.0.113.1", good)


async def test_the_operator_unlocks_an_account(service, person):
    for _ in range(service.config.attempts.account.requests):
        await refused(login(service, person, "wrong"))
    assert (await refused(login(service, person)))[1] == "rate_limited"
    await service.users.UnlockUser(users.UnlockUserRequest(user=person))
    await login(service, person)
    unknown = service.users.UnlockUser(users.UnlockUserRequest(user="nobody@example.com"))
    assert (await refused(unknown))[1] == "user_unknown"


async def test_what_was_refused_is_in_the_audit_log_but_never_a_password(service, person):
    for _ in range(service.config.attempts.account.requests + 5):
        await refused(sign_in_from(service, person, "192.0.2.66", "wrong"))
    await refused(sign_in_from(service, "my password is this", "192.0.2.66", "wrong"))
    bad = [("authorization", "Bearer hgs_nothing"), *from_address(service, "192.0.2.66")]
    listing = project_service.ListProjectsRequest()
    await refused(ProjectServiceStub(service.channel).ListProjects(listing, metadata=bad))
    audit = await ProjectServiceStub(service.operator).ListAudit(project_service.ListAuditRequest())
    rows = [row for row in audit.entries if row.address == "192.0.2.66"]
    assert {row.action for row in rows} == {"credential.refuse", "session.refuse", "session.lock"}
    assert {row.target.partition(",")[0] for row in rows} == {
        "session",
        "an unknown account",
        person,
        f"{person} by pair",
    }
    assert {(row.actor, row.credential) for row in rows} == {("anonymous", "none")}


async def test_an_address_that_tried_too_often_uses_up_no_accounts_attempts(service, person):
    for number in range(service.config.attempts.address.requests):
        with contextlib.suppress(grpc.RpcError):
            await login(service, f"nobody-{number}@example.com", "wrong")
    for _ in range(service.config.attempts.account.requests):
        assert (await refused(login(service, person, "wrong")))[1] == "rate_limited"
    elsewhere = (("headgate-gateway-token", service.config.gateway_token), ("headgate-client-address", "192.0.2.7"))
    request = wire.LoginRequest(email=person, password=PASSWORD)
    await service.accounts.Login(request, metadata=elsewhere)


async def test_good_logins_use_no_attempts_up(service, person):
    for _ in range(service.config.attempts.account.requests + 1):
        await login(service, person)


async def test_users_are_made_with_care(service, person):
    def make(**fields):
        return service.users.CreateUser(users.CreateUserRequest(**{"password": PASSWORD, **fields}))

    assert await refused(make(email=person)) == (grpc.StatusCode.ALREADY_EXISTS, "email_taken")
    assert await refused(make(email="no address")) == (grpc.StatusCode.INVALID_ARGUMENT, "invalid_argument")
    assert await refused(make(email="a@b", password="short")) == (grpc.StatusCode.INVALID_ARGUMENT, "invalid_argument")
    nowhere = [users.CreateUserRequest.Membership(project="nowhere", role=role_pb2.ROLE_VIEWER)]
    assert await refused(make(email="a@b", memberships=nowhere)) == (grpc.StatusCode.NOT_FOUND, "project_unknown")
    assert await refused(make(email="a@b", organisation="nowhere")) == (
        grpc.StatusCode.NOT_FOUND,
        "organisation_unknown",
    )
    gone = service.users.DisableUser(users.DisableUserRequest(user="nobody@example.com"))
    assert await refused(gone) == (grpc.StatusCode.NOT_FOUND, "user_unknown")


async def test_a_null_character_in_any_text_is_refused(service):
    invalid = (grpc.StatusCode.INVALID_ARGUMENT, "invalid_argument")
    roles = [users.CreateUserRequest.Membership(project="default\0", role=role_pb2.ROLE_VIEWER)]
    for call in (
        service.users.DisableUser(users.DisableUserRequest(user="a\0@b.c")),
        service.users.CreateUser(users.CreateUserRequest(email="a@b.c", password=PASSWORD, memberships=roles)),
        login(service, "a\0@b.c"),
    ):
        assert await refused(call) == invalid


async def test_a_person_sees_and_ends_their_own_sessions_only(service, person):
    mine, other = (await login(service, person)).session, (await login(service, person)).session
    owner = (await login(service, service.owner["email"], service.owner["password"])).session

    async def listed(text: str) -> list[wire.Session]:
        return (await service.accounts.ListSessions(wire.ListSessionsRequest(), metadata=shown(text))).sessions

    assert sorted(one.current for one in await listed(mine)) == [False, True]
    (theirs,) = await listed(owner)
    wanted = next(one.id for one in await listed(mine) if not one.current)

    def end(session: str):
        return service.accounts.EndSession(wire.EndSessionRequest(id=session), metadata=shown(mine))

    assert await refused(end(theirs.id)) == (grpc.StatusCode.NOT_FOUND, "session_unknown")
    await end(wanted)
    assert await refused(session_of(service, other)) == (grpc.StatusCode.UNAUTHENTICATED, "credential_invalid")
    await session_of(service, owner)
