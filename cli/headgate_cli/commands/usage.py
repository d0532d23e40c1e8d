"""`headgate usage` and `headgate audit`: what was sent to projects, and who changed what in one."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from headgate_gateway.app_api import usage as api
from headgate_gateway.app_api.projects import LIST_PROJECTS

from headgate_cli.api.admin_socket import AsJson
from headgate_cli.api.reach import OperatorDir, reach
from headgate_cli.output import say, show_json, show_table

MONTHS = ("project", "month", "used", "limit", "remaining", "rateLimit")
LEDGER = ("start", "received", "accepted", "duplicate", "dropped", "refused")
AUDIT = ("id", "at", "who", "by", "what", "target", "from")


class Step(StrEnum):
    """The length of a row."""

    HOUR = "hour"
    DAY = "day"


def usage(
    project: Annotated[
        str | None, typer.Option(help="One project, by slug or id, with its ledger. Default: all, this month.")
    ] = None,
    by: Annotated[Step, typer.Option(help="The period of a row. Days are in the project's time zone.")] = Step.DAY,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Show this month's events against the limit, and the ledger of a project."""
    way = reach(data_dir)
    if project is not None:
        found = way.call(api.GET_USAGE, {"project": project}, {"by": by.value})
        if as_json:
            show_json(found)
        else:
            _show(found)
        return
    projects = [one["slug"] for one in way.call(LIST_PROJECTS)["projects"]]
    # Nothing after now is in a ledger, which this does not show.
    rows = [way.call(api.GET_USAGE, {"project": slug}, {"by": "day"}) for slug in projects]
    if as_json:
        show_json({"projects": [{name: row[name] for name in MONTHS} for row in rows]})
    else:
        show_table(rows, MONTHS, "no projects")


def audit(
    project: Annotated[
        str, typer.Option(help="The project, by slug or id. Default: your own changes; for the operator, everybody's.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to show at most, newest first.")] = 100,
    before: Annotated[int | None, typer.Option(min=1, help="Only entries before this id.")] = None,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, when and from where."""
    query = {"limit": limit} | ({"before": before} if before else {})
    operation, path = (api.LIST_AUDIT, {"project": project}) if project else (api.LIST_OWN_AUDIT, {})
    found = reach(data_dir).call(operation, path, query)
    if as_json:
        show_json(found)
    else:
        show_table(found["audit"], AUDIT, f"no changes in {project}" if project else "no changes")


def _show(found: dict[str, Any]) -> None:
    limit = "no limit" if found["limit"] is None else f"a limit of {found['limit']}, {found['remaining']} left"
    say(f"{found['project']}: {found['used']} events in {found['month']}, {limit}")
    say(f"rate limit: {found['rateLimit'] or 'none'}")
    for month in found["months"][1:]:
        say(f"{month['month']}: {month['used']}")
    rows = [row | {name: _reasons(row[name]) for name in ("dropped", "refused")} for row in found["ledger"]]
    show_table(rows, LEDGER, "no events sent recently")


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{events} {reason}" for reason, events in counts.items()) or "0"
