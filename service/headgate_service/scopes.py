"""The scopes an organisation key may hold."""

EVENTS_WRITE = "events:write"

SCOPES: dict[str, str] = {
    EVENTS_WRITE: "Write events",
    "content:read": "Read site pages, markdown content and llms.txt files",
    "content:write": "Write site pages and content",
    "prompts:read": "Read prompts, topics and what their analysis found",
    "prompts:write": "Write prompts",
    "simulations:read": "Read simulations: tasks, runs, environments and figures",
    "simulations:write": "Make and start simulation runs",
    "logs:read": "Read logs of AI traffic and of requests",
    "analytics:read": "Read analytics aggregates",
    "products:read": "Read products and competitors",
    "products:write": "Write product settings and competitors",
}
# What a key may do for which none was asked: what Headgate takes such keys for, and nothing besides.
DEFAULT_SCOPES = (EVENTS_WRITE,)
