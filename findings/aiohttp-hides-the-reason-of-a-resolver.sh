#!/usr/bin/env bash
# If a resolver of one's own says why a name has no address, aiohttp's error says "[None]" instead.
#
# Expected: the text of the error that a request raises contains the text of the resolver's error. A resolver says
# that a name has no address by raising OSError, for example with a text of its own and without a number, as
# `OSError("...")` allows. aiohttp builds its text from the attribute `strerror`, which such an error does not have.
# So logs and users see "Cannot connect to host ... [None]". The reason is only in `os_error` and in `__cause__`.
# The same happens with an error of a `socket_factory`.
#
# Observed on 2026-11-30 with Python 3.11 and aiohttp 3.14.5.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check aiohttp==3.14.5
cat > "$folder/resolve.py" <<'PYTHON'
import asyncio

import aiohttp
from aiohttp.abc import AbstractResolver


class Directory(AbstractResolver):
    async def resolve(self, host, port=0, family=0):
        raise OSError("the directory has no such name")

    async def close(self):
        pass


class Refusing:
    def __call__(self, info):
        raise OSError("this network is not allowed")


async def report(name, address, **options):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(**options)) as session:
        try:
            await session.get(address)
        except aiohttp.ClientConnectorError as error:
            print(f"{name}: {error}")
            print(f"{name}, os_error: {error.os_error}")


async def main():
    await report("resolver", "http://shop.example/", resolver=Directory())
    await report("socket factory", "http://127.0.0.1:9/", socket_factory=Refusing())


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/resolve.py" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
resolver: Cannot connect to host shop.example:80 ssl:default [None]
resolver, os_error: the directory has no such name
socket factory: Cannot connect to host 127.0.0.1:9 ssl:default [None]
socket factory, os_error: this network is not allowed
EXPECTED
