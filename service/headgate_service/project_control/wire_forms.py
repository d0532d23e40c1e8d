"""What the services of projects answer with, as protobuf."""

from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import project_service_pb2 as wire

from headgate_service.access.role import WIRE_ROLES
from headgate_service.key_kind import WIRE_KINDS
from headgate_service.keyring import HeldKey
from headgate_service.log.reader import timestamp
from headgate_service.project import Project
from headgate_service.project_control.catalogue import Listed
from headgate_service.project_control.members import Member
from headgate_service.project_control.remains import Remains
from headgate_service.project_wire import wire_project
from headgate_service.projects import Ended


def listed_project(listed: Listed) -> admin.Project:
    """A project as one who asks for it sees it."""
    made = wire_project(listed.project)
    made.organisation = listed.organisation
    made.create_time.CopyFrom(timestamp(listed.created_at))
    if listed.role is not None:
        made.role = WIRE_ROLES[listed.role]
    return made


def held_key(key: HeldKey) -> wire.Key:
    """A key without the key."""
    return wire.Key(
        id=key.id,
        kind=WIRE_KINDS[key.kind],
        scopes=key.scopes,
        create_time=timestamp(key.created_at),
        revoke_time=None if key.revoked_at is None else timestamp(key.revoked_at),
    )


def member(one: Member) -> wire.Member:
    """A member."""
    return wire.Member(
        user_id=one.user_id, email=one.email, role=WIRE_ROLES[one.role], create_time=timestamp(one.since)
    )


def deletion_report(
    project: Project, ended: Ended, remains: Remains, stored_events_deleted: bool
) -> wire.DeleteProjectResponse:
    """What ended with a project."""
    return wire.DeleteProjectResponse(
        project=wire_project(project),
        keys=ended.keys,
        members=ended.members,
        deploys=ended.deploys,
        log_events=remains.log_events,
        log_bytes=remains.log_bytes,
        dead_letters=remains.dead_letters,
        stored_events_deleted=stored_events_deleted,
        sinks=[
            wire.DeleteProjectResponse.Sink(name=name, pending=pending) for name, pending in remains.pending.items()
        ],
    )
