"""The embedded ClickHouse behind as much of ClickHouse's HTTP interface as a client of it needs.

`python clickhouse_front.py FOLDER` writes its port to FOLDER/port. It runs as a process of its own: there can be one
engine in each. Users and passwords come from the environment variable USERS, as JSON.
"""

import asyncio
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web
from chdb import session

NOT_SETTINGS = {"query", "database", "wait_end_of_query", "user", "password"}
STATUS = {60: 404, 81: 404, 497: 403, 516: 403, 241: 500, 252: 500}


class Front:
    def __init__(self, folder: Path, users: dict[str, str]) -> None:
        self.engine = session.Session(str(folder / "store"))
        self.thread = ThreadPoolExecutor(1)
        self.users = users

    async def handle(self, request: web.Request) -> web.Response:
        user, key = request.headers.get("X-ClickHouse-User", "default"), request.headers.get("X-ClickHouse-Key", "")
        if self.users.get(user) != key:
            return failure(f"Code: 516. DB::Exception: {user}: Authentication failed. (AUTHENTICATION_FAILED)")
        body = await request.read()
        asked = request.query
        settings = [f"{name} = '{value}'" for name, value in asked.items() if name not in NOT_SETTINGS]
        query = asked.get("query", "")
        if settings:
            # Where a query's own settings stand; a server takes them from the address, the engine does not.
            query = re.sub(r" FORMAT (\w+)$", rf" SETTINGS {', '.join(settings)} FORMAT \1", query)
        try:
            answer = await asyncio.get_running_loop().run_in_executor(
                self.thread, self.run, asked.get("database", "default"), query.encode() + b"\n" + body
            )
        # The engine has errors of several types, and each is the server's answer.
        except Exception as error:  # noqa: BLE001
            return failure(str(error))
        return web.Response(body=answer)

    def run(self, database: str, query: bytes) -> bytes:
        self.engine.query(f"USE `{database}`")
        answer: bytes = self.engine.query(query.decode(), "TabSeparated").bytes()
        return answer


def failure(text: str) -> web.Response:
    found = re.match(r"Code: (\d+)", text)
    code = int(found[1]) if found else 1001
    headers = {"X-ClickHouse-Exception-Code": str(code)}
    return web.Response(status=STATUS.get(code, 400), text=f"{text} (version 26.9.2.1)\n", headers=headers)


async def main(folder: Path) -> None:
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/", Front(folder, json.loads(os.environ["USERS"])).handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    unfinished = folder / "port.new"
    unfinished.write_text(str(runner.addresses[0][1]))
    unfinished.rename(folder / "port")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
