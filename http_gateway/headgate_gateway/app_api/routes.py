"""Every path of the app API."""

from collections import defaultdict
from collections.abc import Sequence

from headgate_gateway.app_api import (
    accounts,
    delivery,
    deploys,
    invitations,
    keys,
    members,
    projects,
    query,
    saved_queries,
    usage,
)
from headgate_gateway.app_api.operation import Operation
from headgate_gateway.app_api.query import QUERY, QueryResource
from headgate_gateway.app_api.resource import OperationsResource, Plumbing

OPERATIONS: Sequence[Operation] = (
    *accounts.OPERATIONS,
    *projects.OPERATIONS,
    *keys.OPERATIONS,
    *members.OPERATIONS,
    *invitations.OPERATIONS,
    *usage.OPERATIONS,
    *delivery.OPERATIONS,
    *deploys.OPERATIONS,
    *query.OPERATIONS,
    *saved_queries.OPERATIONS,
)


def app_api_routes(plumbing: Plumbing) -> dict[str, OperationsResource]:
    """A resource for each path."""
    by_path: dict[str, list[Operation]] = defaultdict(list)
    for operation in OPERATIONS:
        by_path[operation.path].append(operation)
    resources = {path: OperationsResource(operations, plumbing) for path, operations in by_path.items()}
    return resources | {QUERY.path: QueryResource(plumbing)}
