"""What a signed-in person adds to events that came without a credential of their own."""

from collections.abc import Sequence

import orjson
from headgate.v1 import event_pb2

from headgate_service.access.principal import PrincipalKind
from headgate_service.people import Known


def enrich(events: Sequence[event_pb2.Event], known: Known, project_id: str) -> None:
    """Adds `user_id`, and the properties `role` and `tenant`, each to the events that lack it.

    The role is a person's in the project, the tenant their organisation's id; a JWT's are what its claims of these
    names say.
    """
    principal = known.principal
    if principal.kind is PrincipalKind.JWT:
        user_id, role = principal.subject, principal.claimed_role
    else:
        user_id, role = principal.user_id or "", str(known.roles.get(project_id, ""))
    added = {name: value for name, value in (("role", role), ("tenant", principal.organisation_id)) if value}
    for event in events:
        if not event.user_id:
            event.user_id = user_id
        if added:
            properties = orjson.loads(event.properties_json) if event.properties_json else {}
            if added.keys() - properties.keys():
                event.properties_json = orjson.dumps({**added, **properties})
