import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import event_pb2
from headgate.v1.admin_service_pb2_grpc import AdminServiceStub, add_AdminServiceServicer_to_server
from headgate_service.api.admin import AdminServicer
from headgate_service.control_db.database import ControlDb
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.directory.snapshot import ControlChanges
from headgate_service.log.tail import Watchers
from headgate_service.projects.projects import Projects

ON_SQLITE = pytest.mark.parametrize("control_url", ["sqlite"], indirect=True)


class EndlessTail:
    """Makes events for as long as somebody takes them."""

    def __init__(self) -> None:
        self.made = 0
        self.chosen: Sequence[Project] = ()

    async def events(self, chosen: Callable[[], Sequence[Project]], last: int) -> AsyncIterator[event_pb2.Event]:
        self.chosen = chosen()
        while True:
            self.made += 1
            yield event_pb2.Event(name=f"e{self.made}", properties_json=b'{"x":"' + b"x" * 10_000 + b'"}')
            await asyncio.sleep(0)


@pytest.fixture
def tail() -> EndlessTail:
    return EndlessTail()


@pytest.fixture
async def directory(control_db: ControlDb) -> Directory:
    made = Directory(ControlChanges(control_db), clock=time.monotonic)
    await made.refresh()
    return made


@pytest.fixture
async def stub(
    projects: Projects, directory: Directory, tail: EndlessTail, short_dir: Path
) -> AsyncIterator[AdminServiceStub]:
    server = grpc.aio.server()
    add_AdminServiceServicer_to_server(AdminServicer(projects, directory, tail, Watchers(most_operators=2)), server)
    server.add_insecure_port(f"unix:{short_dir}/admin.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{short_dir}/admin.sock") as channel:
        yield AdminServiceStub(channel)
    await server.stop(0)


async def refused(call: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def fields(error: grpc.aio.AioRpcError) -> list[str]:
    faults = error_details_pb2.BadRequest()
    assert any(detail.Unpack(faults) for detail in rpc_status.from_call(error).details)
    return [fault.field for fault in faults.field_violations]


async def test_a_project_and_its_keys_work_from_the_answer_on(stub: AdminServiceStub, directory: Directory) -> None:
    request = admin.CreateProjectRequest(
        name="Web Shop",
        monthly_limit=10,
        rate_limit=admin.RateLimit(requests=5, window=Duration(seconds=60)),
    )
    made = await stub.CreateProject(request)
    assert [key.kind for key in made.keys] == [
        admin.KEY_KIND_PUBLIC,
        admin.KEY_KIND_TEST,
        admin.KEY_KIND_SECRET,
    ]
    known = directory.project("web-shop")
    assert known is not None
    assert (known.id, known.monthly_limit) == (made.project.id, 10)
    assert (known.rate_limit.requests, known.rate_limit.window_ms) == (5, 60_000)
    for key in made.keys:
        assert (await directory.find(key.key)).id == key.id


async def test_a_taken_slug(stub: AdminServiceStub) -> None:
    await stub.CreateProject(admin.CreateProjectRequest(name="p"))
    error = await refused(stub.CreateProject(admin.CreateProjectRequest(name="P")))
    assert error.code() is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (admin.CreateProjectRequest(name=""), "name"),
        (admin.CreateProjectRequest(name="p", slug="No"), "slug"),
        (admin.CreateProjectRequest(name="p", monthly_limit=0), "monthly_limit"),
        (admin.CreateProjectRequest(name="p", rate_limit=admin.RateLimit()), "rate_limit.requests"),
        (
            admin.CreateProjectRequest(
                name="p", rate_limit=admin.RateLimit(requests=1, window=Duration(seconds=1, nanos=1))
            ),
            "rate_limit.window",
        ),
    ],
)
async def test_a_wrong_field_of_a_project_is_named(
    stub: AdminServiceStub, request_: admin.CreateProjectRequest, field: str
) -> None:
    error = await refused(stub.CreateProject(request_))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == [field]


async def test_what_does_not_exist_is_not_found(stub: AdminServiceStub) -> None:
    for call in (
        stub.SetPlan(admin.SetPlanRequest(project="nope")),
        stub.TailEvents(admin.TailEventsRequest(projects=["nope"])).read(),
    ):
        assert (await refused(call)).code() is grpc.StatusCode.NOT_FOUND


@ON_SQLITE
async def test_a_database_that_is_gone_is_unavailable(
    stub: AdminServiceStub, tmp_path: Path, directory: Directory
) -> None:
    (tmp_path / "data" / "control.db").write_bytes(b"no database" * 1000)
    error = await refused(stub.CreateProject(admin.CreateProjectRequest(name="p")))
    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_chosen_projects_are_watched(stub: AdminServiceStub, tail: EndlessTail) -> None:
    ids = [(await stub.CreateProject(admin.CreateProjectRequest(name=name))).project.id for name in ("a", "b", "c")]
    watching = stub.TailEvents(admin.TailEventsRequest(projects=["a", ids[1], "a"], last=3))
    assert (await watching.read()).event.name == "e1"
    assert [project.slug for project in tail.chosen] == ["a", "b"]
    watching.cancel()
    watching = stub.TailEvents(admin.TailEventsRequest())
    await watching.read()
    assert {project.slug for project in tail.chosen} == {"a", "b", "c"}
    watching.cancel()


@pytest.mark.parametrize("last", [-1, 10_001])
async def test_too_many_of_the_latest(stub: AdminServiceStub, last: int) -> None:
    error = await refused(stub.TailEvents(admin.TailEventsRequest(last=last)).read())
    assert (error.code(), fields(error)) == (grpc.StatusCode.INVALID_ARGUMENT, ["last"])


async def test_a_slow_watcher_stops_the_reading(stub: AdminServiceStub, tail: EndlessTail) -> None:
    watching = stub.TailEvents(admin.TailEventsRequest())
    await watching.read()
    made = -1
    async with asyncio.timeout(30):
        while made != tail.made:
            made = tail.made
            await asyncio.sleep(0.5)
    for _ in range(made):
        await watching.read()
    assert tail.made > made
    watching.cancel()


async def test_so_many_operators_watch_at_once(stub) -> None:
    request = admin.TailEventsRequest()
    watching = [stub.TailEvents(request) for _ in range(2)]
    for call in watching:
        await call.read()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.TailEvents(request).read()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "operators watch 2 times" in refused.value.details()
    watching[0].cancel()
    async with asyncio.timeout(10):
        while True:
            try:
                await stub.TailEvents(request).read()
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.02)
            else:
                break
