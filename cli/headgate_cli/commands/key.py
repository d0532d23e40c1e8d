"""`headgate key`: makes keys, shows and replaces them, and ends them."""

from typing import Annotated, Any

import typer
from headgate_gateway.app_api import keys as api
from headgate_service.model.key import KeyKind

from headgate_cli.api.admin_socket import AsJson
from headgate_cli.api.reach import OperatorDir, reach
from headgate_cli.output import say, show_json, show_table

COLUMNS = ("id", "kind", "scopes", "projects", "createdAt", "revokedAt")

key_app = typer.Typer(help="Create, list, rotate and revoke API keys.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id: key_...")]


@key_app.command()
def create(
    project: Annotated[str, typer.Option(help="The project it belongs to, by slug or id.")],
    kind: Annotated[KeyKind, typer.Option(help="The kind of key.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What an organisation key may do; repeat for more. Default: events:write."),
    ] = None,
    all_projects: Annotated[
        bool, typer.Option("--all-projects", help="An organisation key opens every project of the organisation.")
    ] = False,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key, show it once, and say what it opens."""
    body = {"kind": kind.value} | ({"scopes": scope} if scope else {}) | ({"allProjects": True} if all_projects else {})
    made = reach(data_dir).call(api.CREATE_KEY, {"project": project}, body=body)
    if as_json:
        opened = ("allProjects", "projects") if kind is KeyKind.ORGANISATION else ()
        show_json({name: made[name] for name in ("key", "id", *opened)})
    else:
        _show_new(made)


@key_app.command("list")
def list_keys(
    project: Annotated[str, typer.Option(help="The project, by slug or id.")],
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """List a project's keys, revoked ones too. The secrets are never shown."""
    found = reach(data_dir).call(api.LIST_KEYS, {"project": project})
    if as_json:
        show_json(found)
    else:
        show_table(found["keys"], COLUMNS, f"{project} has no keys")


@key_app.command()
def rotate(key_id: KeyId, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """Create a key of the same kind and scopes. The old key works until it is revoked."""
    made = reach(data_dir).call(api.ROTATE_ANY_KEY, {"key": key_id})
    if as_json:
        show_json({"key": made["key"], "id": made["id"], "replaces": key_id})
        return
    _show_new(made)
    say(f"When all use it, end the old one: headgate key revoke {key_id}")


@key_app.command()
def bind(
    key_id: KeyId,
    all_projects: Annotated[
        bool, typer.Option("--all-projects", help="Let it open every project of its organisation, also later ones.")
    ] = False,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Bind an organisation key to its own project: in force everywhere within 5 seconds."""
    bound = reach(data_dir).call(api.BIND_ANY_KEY, {"key": key_id}, body={"allProjects": all_projects})
    if as_json:
        show_json(bound)
    else:
        say(f"Key {key_id} opens {_opened(bound['key'])}.")


@key_app.command()
def revoke(key_id: KeyId, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """Revoke a key: in force everywhere within 5 seconds."""
    reach(data_dir).call(api.REVOKE_ANY_KEY, {"key": key_id})
    if as_json:
        show_json({"id": key_id, "revoked": True})
    else:
        say(f"Key {key_id} is revoked.")


def _show_new(made: dict[str, Any]) -> None:
    scopes = f", scopes {' '.join(made['scopes'])}" if made["scopes"] else ""
    say(f"Key {made['id']} ({made['kind']}{scopes}) opens {_opened(made)}. It is shown this once:")
    say(f"  {made['key']}")


def _opened(key: dict[str, Any]) -> str:
    named = ", ".join(key["projects"])
    return f"every project of its organisation, now {named}" if key["allProjects"] else f"the project {named}"
