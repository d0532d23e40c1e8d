"""Projects and their people, over gRPC: who may do what, and what nobody else sees."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from headgate.v1 import account_service_pb2 as accounts
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import event_pb2
from headgate.v1 import ingest_service_pb2 as ingest
from headgate.v1 import invitation_service_pb2 as invitations
from headgate.v1 import project_delivery_service_pb2 as delivery
from headgate.v1 import project_service_pb2 as wire
from headgate.v1 import user_service_pb2 as users
from headgate.v1.account_service_pb2_grpc import AccountServiceStub
from headgate.v1.admin_service_pb2_grpc import AdminServiceStub
from headgate.v1.ingest_service_pb2_grpc import IngestServiceStub
from headgate.v1.invitation_service_pb2_grpc import InvitationServiceStub
from headgate.v1.project_delivery_service_pb2_grpc import ProjectDeliveryServiceStub
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub
from headgate.v1.role_pb2 import ROLE_ADMIN, ROLE_MEMBER, ROLE_OWNER, ROLE_VIEWER
from headgate.v1.user_service_pb2_grpc import UserServiceStub

Code = grpc.StatusCode
ROLES = {"viewer": ROLE_VIEWER, "member": ROLE_MEMBER, "admin": ROLE_ADMIN, "owner": ROLE_OWNER}


@dataclass
class Person:
    """Somebody who is signed in."""

    email: str
    channel: grpc.aio.Channel
    session: str

    async def call(self, method: str, request: Any) -> Any:
        """A method of one of the two services, by its name."""
        served = dict.fromkeys(DELIVERY, ProjectDeliveryServiceStub) | dict.fromkeys(INVITING, InvitationServiceStub)
        stub: Any = served.get(method, ProjectServiceStub)(self.channel)
        called = getattr(stub, method)(request, metadata=[("authorization", f"Bearer {self.session}")])
        if method == "TailProjectEvents":
            return [message async for message in called if message.HasField("event")]
        return await called

    async def refused(self, method: str, request: Any) -> tuple[grpc.StatusCode, str]:
        """The code and the reason with which a call ends that must."""
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await self.call(method, request)
        info = error_details_pb2.ErrorInfo()
        for detail in rpc_status.from_call(ended.value).details:
            if detail.Is(info.DESCRIPTOR):
                detail.Unpack(info)
        return ended.value.code(), info.reason

    async def let_in(self, other: "Person", role: Any, project: str = "p") -> None:
        """Makes somebody a member, who agrees."""
        wanted = invitations.CreateInvitationRequest(project=project, email=other.email, role=role)
        made = await self.call("CreateInvitation", wanted)
        await other.call("AnswerInvitation", invitations.AnswerInvitationRequest(text=made.text, accept=True))

    async def make(self, name: str) -> wire.ProjectServiceCreateProjectResponse:
        return await self.call("CreateProject", wire.ProjectServiceCreateProjectRequest(name=name))


# Every method that names a project, with a request to project `p` that would do something; and the role that it takes.
def asked(key: str = "key_1", user: str = "x@y.example") -> dict[str, tuple[Any, str]]:
    return {
        "GetProject": (wire.GetProjectRequest(project="p"), "viewer"),
        "ListMembers": (wire.ListMembersRequest(project="p"), "viewer"),
        "GetUsage": (wire.GetUsageRequest(project="p"), "viewer"),
        "ListProjectSinks": (delivery.ListProjectSinksRequest(project="p"), "viewer"),
        "ListProjectDeadLetters": (delivery.ListProjectDeadLettersRequest(project="p"), "viewer"),
        "TailProjectEvents": (delivery.TailProjectEventsRequest(project="p", no_follow=True), "viewer"),
        "RetryProjectDeadLetters": (delivery.RetryProjectDeadLettersRequest(project="p", sink="jsonl"), "member"),
        "PurgeProjectDeadLetters": (delivery.PurgeProjectDeadLettersRequest(project="p", sink="jsonl"), "admin"),
        "UpdateProject": (wire.UpdateProjectRequest(project="p", name="q"), "admin"),
        "ListKeys": (wire.ListKeysRequest(project="p"), "admin"),
        "CreateKey": (wire.CreateKeyRequest(project="p", kind=admin.KEY_KIND_PUBLIC), "admin"),
        "RotateKey": (wire.RotateKeyRequest(project="p", id=key), "admin"),
        "RevokeKey": (wire.RevokeKeyRequest(project="p", id=key), "admin"),
        "CreateInvitation": (
            invitations.CreateInvitationRequest(project="p", email="y@example.com", role=ROLE_VIEWER),
            "admin",
        ),
        "ListInvitations": (invitations.ListInvitationsRequest(project="p"), "admin"),
        "SetMember": (wire.SetMemberRequest(project="p", user=user, role=ROLE_VIEWER), "admin"),
        "ListAudit": (wire.ListAuditRequest(project="p"), "admin"),
        "DeleteProject": (wire.DeleteProjectRequest(project="p"), "owner"),
    }


DELIVERY = {method for method in dir(ProjectDeliveryServiceStub(grpc.insecure_channel("x"))) if "Project" in method}

INVITING = {method for method in dir(InvitationServiceStub(grpc.insecure_channel("x"))) if "Invitation" in method}


@pytest.fixture
async def service(start_service: Callable[..., Awaitable[Any]]) -> Any:
    return await start_service()


@pytest.fixture
async def sign_in(service: Any) -> AsyncIterator[Callable[[str], Awaitable[Person]]]:
    async def enter(name: str) -> Person:
        email, password = f"{name}@example.com", f"the password of {name}"
        await UserServiceStub(service.operator).CreateUser(users.CreateUserRequest(email=email, password=password))
        made = await AccountServiceStub(service.channel).Login(accounts.LoginRequest(email=email, password=password))
        return Person(email, service.channel, made.session)

    return enter


async def test_a_project_belongs_to_who_made_it(sign_in: Any) -> None:
    ada, bob = await sign_in("ada"), await sign_in("bob")
    made = await ada.make("Shop")
    assert (made.project.slug, made.project.role, made.project.time_zone) == ("shop", ROLE_OWNER, "UTC")
    assert [key.kind for key in made.keys] == [admin.KEY_KIND_PUBLIC, admin.KEY_KIND_TEST, admin.KEY_KIND_SECRET]
    theirs = await bob.make("Blog")
    assert theirs.project.organisation != made.project.organisation
    listed = await ada.call("ListProjects", wire.ListProjectsRequest())
    assert [project.slug for project in listed.projects] == ["shop"]
    assert await bob.refused("CreateProject", wire.ProjectServiceCreateProjectRequest(name="x", slug="shop")) == (
        Code.ALREADY_EXISTS,
        "slug_taken",
    )


async def test_to_a_stranger_a_project_is_as_unknown_as_none(sign_in: Any) -> None:
    ada, bob = await sign_in("ada"), await sign_in("bob")
    keys = (await ada.make("p")).keys
    for method, (request, _) in asked(keys[0].id, bob.email).items():
        assert await bob.refused(method, request) == (Code.NOT_FOUND, "project_unknown"), method
    for method, request in (
        ("RotateKey", wire.RotateKeyRequest(id=keys[0].id)),
        ("RevokeKey", wire.RevokeKeyRequest(id=keys[0].id)),
    ):
        assert await bob.refused(method, request) == (Code.NOT_FOUND, "key_unknown")
    assert await bob.refused("RemoveMember", wire.RemoveMemberRequest(project="p", user=ada.email)) == (
        Code.NOT_FOUND,
        "project_unknown",
    )
    # With a key of a project of one's own, another one's project is not reached either.
    await bob.make("mine")
    foreign = wire.RevokeKeyRequest(project="mine", id=keys[0].id)
    assert await bob.refused("RevokeKey", foreign) == (Code.NOT_FOUND, "key_unknown")
    listed = await ada.call("ListKeys", wire.ListKeysRequest(project="p"))
    assert not any(key.HasField("revoke_time") for key in listed.keys)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_opens_what_it_says(sign_in: Any, role: str) -> None:
    ada, bob = await sign_in("ada"), await sign_in("bob")
    other = await sign_in("x")
    key = (await ada.make("p")).keys[0].id
    await ada.let_in(other, ROLE_VIEWER)
    await ada.let_in(bob, ROLES[role])
    order = list(ROLES)
    for method, (request, least) in asked(key, "x@example.com").items():
        if order.index(role) >= order.index(least):
            await bob.call(method, request)
        else:
            assert await bob.refused(method, request) == (Code.PERMISSION_DENIED, "role_missing"), method


async def test_owners_are_made_and_unmade_by_owners_and_one_remains(sign_in: Any) -> None:
    ada, bob = await sign_in("ada"), await sign_in("bob")
    await ada.make("p")

    def role(person: Person, role: int) -> wire.SetMemberRequest:
        return wire.SetMemberRequest(project="p", user=person.email, role=role)

    def remove(person: Person) -> wire.RemoveMemberRequest:
        return wire.RemoveMemberRequest(project="p", user=person.email)

    await ada.let_in(bob, ROLE_ADMIN)
    denied, last = (Code.PERMISSION_DENIED, "role_missing"), (Code.FAILED_PRECONDITION, "last_owner")
    assert await bob.refused("SetMember", role(bob, ROLE_OWNER)) == denied
    assert await bob.refused("SetMember", role(ada, ROLE_VIEWER)) == denied
    assert await bob.refused("RemoveMember", remove(ada)) == denied
    assert await ada.refused("SetMember", role(ada, ROLE_ADMIN)) == last
    assert await ada.refused("RemoveMember", remove(ada)) == last
    await ada.call("SetMember", role(bob, ROLE_OWNER))
    await bob.call("SetMember", role(ada, ROLE_VIEWER))
    # Anyone may leave, whatever they may do, and is a stranger from then on.
    await ada.call("RemoveMember", remove(ada))
    assert await ada.refused("GetProject", wire.GetProjectRequest(project="p")) == (Code.NOT_FOUND, "project_unknown")
    members = (await bob.call("ListMembers", wire.ListMembersRequest(project="p"))).members
    assert [(member.email, member.role) for member in members] == [(bob.email, ROLE_OWNER)]
    assert await bob.refused("SetMember", wire.SetMemberRequest(project="p", user="no@example.com", role=1)) == (
        Code.NOT_FOUND,
        "member_unknown",
    )
    assert (await bob.refused("SetMember", role(ada, 0)))[0] is Code.INVALID_ARGUMENT


async def test_an_invitation_is_accepted_or_declined_by_whom_it_is_for(sign_in: Any) -> None:
    ada, bob, eve = await sign_in("ada"), await sign_in("bob"), await sign_in("eve")
    await ada.make("p")

    def wanted(email: str, role: Any = ROLE_MEMBER) -> invitations.CreateInvitationRequest:
        return invitations.CreateInvitationRequest(project="p", email=email, role=role)

    def answer(text: str, accept: bool = True) -> invitations.AnswerInvitationRequest:
        return invitations.AnswerInvitationRequest(text=text, accept=accept)

    unknown = (Code.NOT_FOUND, "invitation_unknown")
    addresses = (" Bob@example.com", "no@example.com")
    known, nobody = [await ada.call("CreateInvitation", wanted(address)) for address in addresses]
    # The answers for an address with an account and for one without are alike.
    assert {field.name for field, _ in known.invitation.ListFields()} == {
        field.name for field, _ in nobody.invitation.ListFields()
    }
    assert known.invitation.email == bob.email
    assert await bob.refused("GetProject", wire.GetProjectRequest(project="p")) == (Code.NOT_FOUND, "project_unknown")
    for method, request in (
        ("AnswerInvitation", answer(known.text)),
        ("GetInvitation", invitations.GetInvitationRequest(text=known.text)),
        ("AnswerInvitation", answer("hgi_x")),
    ):
        assert await eve.refused(method, request) == unknown
    shown = (await bob.call("GetInvitation", invitations.GetInvitationRequest(text=known.text))).invitation
    assert (shown.project, shown.role, shown.author) == ("p", ROLE_MEMBER, ada.email)
    await bob.call("AnswerInvitation", answer(known.text))
    assert (await bob.call("GetProject", wire.GetProjectRequest(project="p"))).project.role == ROLE_MEMBER
    assert await bob.refused("AnswerInvitation", answer(known.text)) == unknown

    declined = await ada.call("CreateInvitation", wanted(eve.email))
    await eve.call("AnswerInvitation", answer(declined.text, accept=False))
    assert await eve.refused("AnswerInvitation", answer(declined.text)) == unknown
    # A later one ends an earlier one, and one can be taken back.
    first, second = [await ada.call("CreateInvitation", wanted(eve.email)) for _ in range(2)]
    assert await eve.refused("AnswerInvitation", answer(first.text)) == unknown
    open_ones = (await ada.call("ListInvitations", invitations.ListInvitationsRequest(project="p"))).invitations
    assert [one.email for one in open_ones] == ["no@example.com", eve.email]
    foreign = invitations.DeleteInvitationRequest(project="p", id="inv_x")
    assert await ada.refused("DeleteInvitation", foreign) == unknown
    await ada.call("DeleteInvitation", invitations.DeleteInvitationRequest(project="p", id=second.invitation.id))
    assert await eve.refused("AnswerInvitation", answer(second.text)) == unknown
    audit = (await ada.call("ListAudit", wire.ListAuditRequest(project="p"))).entries
    actions = {(entry.action, entry.actor) for entry in audit}
    assert {
        ("invitation.accept", bob.email),
        ("invitation.decline", eve.email),
        ("member.invite", ada.email),
    } <= actions


async def test_an_invitation_ends_with_the_right_to_invite(sign_in: Any) -> None:
    ada, bob, eve = await sign_in("ada"), await sign_in("bob"), await sign_in("eve")
    await ada.make("p")
    await ada.let_in(bob, ROLE_ADMIN)
    owner = invitations.CreateInvitationRequest(project="p", email=eve.email, role=ROLE_OWNER)
    assert await bob.refused("CreateInvitation", owner) == (Code.PERMISSION_DENIED, "role_missing")
    wanted = invitations.CreateInvitationRequest(project="p", email=eve.email, role=ROLE_ADMIN)
    made = await bob.call("CreateInvitation", wanted)
    await ada.call("SetMember", wire.SetMemberRequest(project="p", user=bob.email, role=ROLE_MEMBER))
    accepted = invitations.AnswerInvitationRequest(text=made.text, accept=True)
    assert await eve.refused("AnswerInvitation", accepted) == (Code.NOT_FOUND, "invitation_unknown")
    # Of a member it raises the role, and lowers none.
    await ada.let_in(bob, ROLE_OWNER)
    await ada.let_in(bob, ROLE_VIEWER)
    assert (await bob.call("GetProject", wire.GetProjectRequest(project="p"))).project.role == ROLE_OWNER


async def test_keys_of_all_projects_are_for_who_owns_all_of_them(sign_in: Any, service: Any) -> None:
    ada, bob = await sign_in("ada"), await sign_in("bob")
    await ada.make("p")
    await ada.make("q")
    await ada.let_in(bob, ROLE_OWNER)
    wanted = wire.CreateKeyRequest(project="p", kind=admin.KEY_KIND_ORGANISATION, all_projects=True)
    assert await bob.refused("CreateKey", wanted) == (Code.PERMISSION_DENIED, "role_missing")
    key = (await ada.call("CreateKey", wanted)).key
    for method, request in (
        ("RotateKey", wire.RotateKeyRequest(id=key.id)),
        ("RevokeKey", wire.RevokeKeyRequest(id=key.id)),
    ):
        assert await bob.refused(method, request) == (Code.PERMISSION_DENIED, "role_missing")
    # What opens the project alone is for its owners; that it opens more is not theirs to say.
    bound = (await bob.call("CreateKey", wire.CreateKeyRequest(project="p", kind=admin.KEY_KIND_ORGANISATION))).key
    assert (bound.all_projects, list(bound.projects)) == (False, ["p"])
    assert (key.all_projects, list(key.projects)) == (True, ["p", "q"])
    for binding in (wire.BindKeyRequest(id=key.id), wire.BindKeyRequest(id=bound.id, all_projects=True)):
        assert await bob.refused("BindKey", binding) == (Code.PERMISSION_DENIED, "role_missing")
    assert await opens(service, bound.key, "q") is not None
    await ada.call("BindKey", wire.BindKeyRequest(id=bound.id, all_projects=True))
    assert await opens(service, bound.key, "q") is None
    # The key itself is not a person, and may here what its scopes say: nothing.
    holder = Person("", service.channel, key.key)
    assert (await holder.refused("ListKeys", wire.ListKeysRequest(project="p")))[0] is Code.PERMISSION_DENIED
    assert await holder.refused("ListProjects", wire.ListProjectsRequest()) == (
        Code.PERMISSION_DENIED,
        "person_required",
    )


async def test_two_keys_live_while_one_is_rotated(sign_in: Any, service: Any) -> None:
    ada = await sign_in("ada")
    old = next(key for key in (await ada.make("p")).keys if key.kind == admin.KEY_KIND_SECRET)
    new = (await ada.call("RotateKey", wire.RotateKeyRequest(project="p", id=old.id))).key
    assert (new.kind, new.scopes) == (old.kind, old.scopes)
    assert [await opens(service, key.key) for key in (old, new)] == [None, None]
    await ada.call("RevokeKey", wire.RevokeKeyRequest(project="p", id=old.id))
    assert [await opens(service, key.key) for key in (old, new)] == [Code.UNAUTHENTICATED, None]
    assert await ada.refused("RotateKey", wire.RotateKeyRequest(project="p", id=old.id)) == (
        Code.FAILED_PRECONDITION,
        "key_revoked",
    )


async def test_a_deleted_project_opens_nothing_and_says_what_ended(sign_in: Any, service: Any) -> None:
    ada, bob = await sign_in("ada"), await sign_in("bob")
    keys = {key.kind: key for key in (await ada.make("p")).keys}
    await ada.make("q")
    made = wire.CreateKeyRequest(project="p", kind=admin.KEY_KIND_ORGANISATION, all_projects=True)
    organisation = (await ada.call("CreateKey", made)).key
    await ada.let_in(bob, ROLE_VIEWER)
    await ada.call("RevokeKey", wire.RevokeKeyRequest(id=keys[admin.KEY_KIND_TEST].id))
    assert await opens(service, keys[admin.KEY_KIND_SECRET].key) is None
    report = await ada.call("DeleteProject", wire.DeleteProjectRequest(project="p"))
    assert (report.keys, report.members, report.log_events) == (3, 2, 1)
    assert {sink.name: sink.pending for sink in report.sinks} == {"jsonl": 1, "webhook": 1}
    assert not report.stored_events_deleted
    assert await opens(service, keys[admin.KEY_KIND_SECRET].key) is not None
    # Not even in a project that lives on.
    assert await opens(service, organisation.key, "q") is not None
    for person, (method, (request, _)) in itertools.product((ada, bob), asked().items()):
        assert await person.refused(method, request) == (Code.NOT_FOUND, "project_unknown"), method
    left = await ada.call("ListProjects", wire.ListProjectsRequest())
    assert [project.slug for project in left.projects] == ["q"]


async def test_every_change_of_a_person_is_in_the_audit_log_with_where_it_came_from(sign_in: Any) -> None:
    ada, bob = await sign_in("ada"), await sign_in("bob")
    key = (await ada.make("p")).keys[0].id
    await ada.call("UpdateProject", wire.UpdateProjectRequest(project="p", time_zone="Europe/Berlin"))
    await ada.let_in(bob, ROLE_VIEWER)
    await ada.call("SetMember", wire.SetMemberRequest(project="p", user=bob.email, role=ROLE_ADMIN))
    new = (await bob.call("RotateKey", wire.RotateKeyRequest(project="p", id=key))).key.id
    await bob.call("RevokeKey", wire.RevokeKeyRequest(project="p", id=key))
    await ada.call("RemoveMember", wire.RemoveMemberRequest(project="p", user=bob.email))
    # What is refused changes nothing.
    await ada.refused("RemoveMember", wire.RemoveMemberRequest(project="p", user=ada.email))
    entries = (await ada.call("ListAudit", wire.ListAuditRequest(project="p"))).entries
    assert [(entry.actor, entry.action, entry.target) for entry in reversed(entries)] == [
        (ada.email, "project.create", "p"),
        (ada.email, "project.update", "p"),
        (ada.email, "member.invite", f"{bob.email} viewer"),
        (bob.email, "invitation.accept", f"{bob.email} viewer"),
        (ada.email, "member.set", f"{bob.email} admin"),
        (bob.email, "key.rotate", f"{key} {new}"),
        (bob.email, "key.revoke", key),
        (ada.email, "member.remove", bob.email),
    ]
    assert {(entry.credential, entry.address) for entry in entries} == {("session", "127.0.0.1")}


async def test_usage_counts_what_was_sent_against_the_limits(sign_in: Any, service: Any) -> None:
    ada = await sign_in("ada")
    made = await ada.make("p")
    secret = next(key.key for key in made.keys if key.kind == admin.KEY_KIND_SECRET)
    plan = admin.SetPlanRequest(project="p", monthly_limit=3)
    plan.rate_limit.requests, plan.rate_limit.window.seconds = 50, 30
    await AdminServiceStub(service.operator).SetPlan(plan)
    for _ in range(4):
        await opens(service, secret)
    usage = await ada.call("GetUsage", wire.GetUsageRequest(project="p"))
    assert (usage.months[0].used, usage.project.monthly_limit) == (3, 3)
    assert (usage.rate_limit.requests, usage.rate_limit.window.seconds) == (50, 30)
    async with asyncio.timeout(10):
        # The refused side lags by as much as a flush takes.
        while not (usage.rows and usage.rows[0].refused):
            await asyncio.sleep(0.1)
            usage = await ada.call("GetUsage", wire.GetUsageRequest(project="p", step=wire.LEDGER_STEP_HOUR))
    # Where the clock turned the hour, there are two.
    assert sum(row.accepted for row in usage.rows) == 3
    assert sum(row.received for row in usage.rows) == 4
    assert sum(sum(row.refused.values()) for row in usage.rows) == 1


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("UpdateProject", wire.UpdateProjectRequest(project="p")),
        ("UpdateProject", wire.UpdateProjectRequest(project="p", name="")),
        ("UpdateProject", wire.UpdateProjectRequest(project="p", time_zone="Mars")),
        ("CreateKey", wire.CreateKeyRequest(project="p")),
        ("CreateKey", wire.CreateKeyRequest(project="p", kind=1, scopes=["x"])),
        ("ListAudit", wire.ListAuditRequest(project="p", limit=1001)),
        ("ListAudit", wire.ListAuditRequest(project="p", before=-1)),
        ("GetUsage", wire.GetUsageRequest(project="p", step=7)),
        ("ListProjectDeadLetters", delivery.ListProjectDeadLettersRequest(project="p", limit=-1)),
        ("TailProjectEvents", delivery.TailProjectEventsRequest(project="p", last=1001)),
    ],
)
async def test_what_cannot_be_is_said(sign_in: Any, method: str, request_: Any) -> None:
    ada = await sign_in("ada")
    await ada.make("p")
    assert await ada.refused(method, request_) == (Code.INVALID_ARGUMENT, "invalid_argument")


async def test_a_span_of_usage_has_an_end_after_its_beginning(sign_in: Any) -> None:
    ada = await sign_in("ada")
    await ada.make("p")
    request = wire.GetUsageRequest(project="p")
    request.from_time.FromJsonString("2026-11-02T00:00:00Z")
    request.to_time.FromJsonString("2026-11-01T00:00:00Z")
    assert (await ada.refused("GetUsage", request))[0] is Code.INVALID_ARGUMENT
    request.from_time.FromJsonString("2020-11-02T00:00:00Z")
    assert (await ada.refused("GetUsage", request))[0] is Code.INVALID_ARGUMENT


async def test_who_is_shut_out_watches_no_longer(sign_in: Any, service: Any) -> None:
    ada, bob = await sign_in("ada"), await sign_in("bob")
    secret = next(key.key for key in (await ada.make("p")).keys if key.kind == admin.KEY_KIND_SECRET)
    await ada.let_in(bob, ROLE_VIEWER)
    watching = ProjectDeliveryServiceStub(service.channel).TailProjectEvents(
        delivery.TailProjectEventsRequest(project="p", last=1), metadata=[("authorization", f"Bearer {bob.session}")]
    )
    assert not (await watching.read()).HasField("event")
    assert await opens(service, secret) is None
    async with asyncio.timeout(10):
        while (await watching.read()).event.name != "e":
            pass
    await ada.call("RemoveMember", wire.RemoveMemberRequest(project="p", user=bob.email))
    async with asyncio.timeout(10):
        assert await watching.code() is Code.NOT_FOUND


async def test_without_a_credential_nothing_opens(service: Any) -> None:
    for session, reason in (("", "credential_missing"), ("hgs_x", "credential_invalid"), ("x", "credential_invalid")):
        nobody = Person("", service.channel, session)
        for method, (request, _) in {**asked(), "ListProjects": (wire.ListProjectsRequest(), "")}.items():
            assert await nobody.refused(method, request) == (Code.UNAUTHENTICATED, reason), method


async def opens(service: Any, key: str, project: str = "") -> grpc.StatusCode | None:
    """How one event that is sent with a key is refused; None where it is taken."""
    metadata = [("authorization", f"Bearer {key}")] + ([("x-headgate-project", project)] if project else [])
    request = ingest.IngestEventsRequest(events=[event_pb2.Event(name="e")])
    try:
        await IngestServiceStub(service.channel).IngestEvents(request, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None
