#!/usr/bin/env bash
# If a request has a body and offers an upgrade to HTTP/2 (Upgrade: h2c), uvicorn with httptools passes it
# to the application without the body. With h11 the application gets the body.
#
# Expected: RFC 9110 (7.8) lets a server ignore Upgrade, and uvicorn does not speak h2c. So the request is
# an ordinary HTTP/1.1 request with its body. Java's HttpClient and `curl --http2` send such requests to
# plain http addresses by default, so their POSTs arrive empty.
#
# Observed on 2026-11-28 with Python 3.11, uvicorn 0.54.0, httptools 0.9.0, h11 0.16.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0
cat >"$folder/show.py" <<'PYTHON'
import asyncio
import socket

import uvicorn

UPGRADE = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
received = []


async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    received.append(body.decode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def main(parser):
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=parser, ws="none", lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    for fields in ("", UPGRADE):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        request = f"POST / HTTP/1.1\r\nHost: test\r\n{fields}Content-Length: 5\r\n\r\nhello"
        writer.write(request.encode())
        await reader.readline()
        writer.close()
    server.should_exit = True
    await serving
    print(f"{parser}: without Upgrade {received[0]!r}, with Upgrade {received[1]!r}")
    received.clear()


for parser in ("h11", "httptools"):
    asyncio.run(main(parser))
PYTHON
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
h11: without Upgrade 'hello', with Upgrade 'hello'
httptools: without Upgrade 'hello', with Upgrade ''
EXPECTED
