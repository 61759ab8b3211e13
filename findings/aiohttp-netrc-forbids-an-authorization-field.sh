#!/usr/bin/env bash
# With an entry in .netrc, aiohttp refuses each call to that host that has an Authorization field.
#
# With trust_env=True, aiohttp uses the proxies that the environment names, and reads passwords from .netrc. Expected: a
# call with its own Authorization field, such as the key of an API, sends this field. But if .netrc has an entry for the
# host, or a "default" entry for all hosts, the call raises a ValueError and is not sent. So a program
# that needs the proxy stops working when such an entry is added for another purpose.
#
# Observed on 2026-12-01 with Python 3.11 and aiohttp 3.14.5.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check aiohttp==3.14.5
cat >"$folder/show.py" <<'PYTHON'
import asyncio
import os

import aiohttp
from aiohttp import web


async def show(request):
    return web.Response(text=request.headers["Authorization"])


async def main():
    app = web.Application()
    app.router.add_get("/", show)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    entries = {"none": "", "another host": "machine ftp.example login me password x\n"}
    entries["default"] = "default login anonymous password me@example.org\n"
    for name, text in entries.items():
        with open(os.environ["NETRC"], "w") as file:
            file.write(text)
        async with aiohttp.ClientSession(trust_env=True) as session:
            try:
                headers = {"Authorization": "Bearer of-our-own"}
                async with session.get(f"http://127.0.0.1:{port}/", headers=headers) as response:
                    print(f"entry in .netrc: {name}, sent: {await response.text()}")
            except ValueError as error:
                print(f"entry in .netrc: {name}, {type(error).__name__}: {error}")
    await runner.cleanup()


asyncio.run(main())
PYTHON
cd "$folder"
NETRC="$folder/netrc" "$folder/venv/bin/python" show.py | tee seen
diff seen - <<'EXPECTED'
entry in .netrc: none, sent: Bearer of-our-own
entry in .netrc: another host, sent: Bearer of-our-own
entry in .netrc: default, ValueError: Cannot combine AUTHORIZATION header with AUTH argument or credentials encoded in URL
EXPECTED
