"""Falcon with a handler that reads the body and its JSON and does nothing: what the gateway's own stack costs."""

import msgspec
from falcon.asgi import App, Request, Response


class Nothing:
    """Reads a request and answers it."""

    async def on_post(self, request: Request, response: Response) -> None:
        msgspec.json.decode(await request.stream.read())
        response.data = b'{"success":true}'
        response.content_type = "application/json"


app = App()
app.add_route("/", Nothing())
