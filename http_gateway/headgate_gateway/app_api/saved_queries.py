"""/api/queries: queries that people saved."""

from typing import Any

import orjson
from headgate.v1 import saved_query_service_pb2 as wire
from headgate.v1.saved_query_service_pb2_grpc import SavedQueryServiceStub

from headgate_gateway.app_api.fields import Field, Kind
from headgate_gateway.app_api.operation import Operation, rfc3339

QUERIES = "/api/queries"
_QUERY = f"{QUERIES}/{{query}}"
_BODY = (
    Field("name", required=True, description="Its name, for people.", rules={"minLength": 1, "maxLength": 200}),
    Field("query", Kind.OBJECT, required=True, description="A request of POST /api/query; its projectId says whose."),
)


def saved_query_json(saved: wire.SavedQuery) -> dict[str, Any]:
    """A saved query."""
    return {
        "id": saved.id,
        "name": saved.name,
        "project": saved.project,
        "query": orjson.loads(saved.query_json),
        "who": saved.author,
        "createdAt": rfc3339(saved.create_time),
        "updatedAt": rfc3339(saved.update_time),
    }


LIST_SAVED = Operation(
    "GET",
    QUERIES,
    "The saved queries of a project, by name",
    lambda channel: SavedQueryServiceStub(channel).ListSavedQueries,
    lambda asked: wire.ListSavedQueriesRequest(project=asked.query["project"]),
    lambda found: {"queries": [saved_query_json(one) for one in found.queries]},
    query=(Field("project", required=True, description="The project's slug or id."),),
    by_key=True,
)
SAVE = Operation(
    "POST",
    QUERIES,
    "Save a query for the members of its project",
    lambda channel: SavedQueryServiceStub(channel).CreateSavedQuery,
    lambda asked: wire.CreateSavedQueryRequest(name=asked.body["name"], query_json=orjson.dumps(asked.body["query"])),
    lambda made: saved_query_json(made.query),
    body=_BODY,
    status=201,
)
GET_SAVED = Operation(
    "GET",
    _QUERY,
    "A saved query",
    lambda channel: SavedQueryServiceStub(channel).GetSavedQuery,
    lambda asked: wire.GetSavedQueryRequest(id=asked.path["query"]),
    lambda found: saved_query_json(found.query),
    by_key=True,
)
CHANGE_SAVED = Operation(
    "PUT",
    _QUERY,
    "Replace a saved query",
    lambda channel: SavedQueryServiceStub(channel).UpdateSavedQuery,
    lambda asked: wire.UpdateSavedQueryRequest(
        id=asked.path["query"], name=asked.body["name"], query_json=orjson.dumps(asked.body["query"])
    ),
    lambda changed: saved_query_json(changed.query),
    body=_BODY,
)
DELETE_SAVED = Operation(
    "DELETE",
    _QUERY,
    "Delete a saved query",
    lambda channel: SavedQueryServiceStub(channel).DeleteSavedQuery,
    lambda asked: wire.DeleteSavedQueryRequest(id=asked.path["query"]),
    lambda deleted: {"deleted": True},
)

OPERATIONS = (LIST_SAVED, SAVE, GET_SAVED, CHANGE_SAVED, DELETE_SAVED)
