"""What a project's people see of the sinks that its own config brings."""

import asyncio
from typing import Any

import grpc
import orjson
import pytest
from headgate.v1 import account_service_pb2 as accounts
from headgate.v1 import deploy_service_pb2 as deploys
from headgate.v1 import project_delivery_service_pb2 as wire
from headgate.v1 import project_service_pb2 as projects
from headgate.v1.deploy_service_pb2_grpc import DeployServiceStub
from headgate.v1.project_delivery_service_pb2_grpc import ProjectDeliveryServiceStub
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub
from headgate_service.config import ProjectSinkRules

HOOK = {
    "name": "hook",
    "use": "webhook",
    "config": {"url": "https://example.com/hook"},
    "secrets": {"secret": "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw=="},
}


async def test_people_see_their_projects_own_sinks_and_letters_and_nobody_elses(start_service: Any) -> None:
    service = await start_service(project_sink_rules=ProjectSinkRules(), secrets_keys=(bytes(32),))
    config = orjson.dumps({"formatVersion": 1, "sinks": [HOOK]})
    await DeployServiceStub(service.operator).Deploy(deploys.DeployRequest(project="default", config_json=config))
    owner = service.owner
    signed_in = await service.accounts.Login(accounts.LoginRequest(email=owner["email"], password=owner["password"]))
    shown = [("authorization", f"Bearer {signed_in.session}")]
    delivery = ProjectDeliveryServiceStub(service.channel)

    async def names(project: str) -> list[str]:
        asked = wire.ListProjectSinksRequest(project=project)
        return [row.name for row in (await delivery.ListProjectSinks(asked, metadata=shown)).sinks]

    async with asyncio.timeout(5):
        while "default/hook" not in await names("default"):
            await asyncio.sleep(0.05)
    asked = wire.ListProjectDeadLettersRequest(project="default", sink="hook")
    assert not (await delivery.ListProjectDeadLetters(asked, metadata=shown)).dead_letters

    other = projects.ProjectServiceCreateProjectRequest(name="Other", slug="other")
    await ProjectServiceStub(service.channel).CreateProject(other, metadata=shown)
    assert await names("other") == ["jsonl", "webhook"]
    for sink in ("hook", "default/hook"):
        asked = wire.ListProjectDeadLettersRequest(project="other", sink=sink)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await delivery.ListProjectDeadLetters(asked, metadata=shown)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
