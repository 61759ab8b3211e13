#!/usr/bin/env bash
# Litestar passes each guard a new copy of the route handler, on every request.
#
# Why this matters: a guard's second argument looks like the registered handler. But if a guard stores data
# by handler (a cache, a set of checked handlers), the data never matches again and grows with every
# request. Each guard call also costs a copy.
#
# Observed on 2026-11-28 with Python 3.11, litestar 2.25.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check litestar==2.25.0
cat >"$folder/show.py" <<'PYTHON'
import logging

from litestar import get
from litestar.testing import create_test_client

logging.disable()
handlers = []


def guard(connection, handler):
    handlers.append(handler)


@get("/", guards=[guard])
async def hello() -> str:
    return "hello"


with create_test_client([hello]) as client:
    for _ in range(5):
        client.get("/")
print(f"5 requests, {len({id(one) for one in handlers})} handlers")
print(f"all equal: {all(one == handlers[0] for one in handlers)}")
PYTHON
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
5 requests, 5 handlers
all equal: False
EXPECTED
