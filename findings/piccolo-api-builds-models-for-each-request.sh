#!/usr/bin/env bash
# PiccoloCRUD builds new Pydantic models for each request, although they are the same each time.
#
# Expected: the models of a table are built once, when PiccoloCRUD is created or at the first request. But
# `pydantic_model`, `pydantic_model_optional` and `pydantic_model_filters` are properties that are not cached, and
# `pydantic_model_plural` is a method. So a request for a row or for a list builds one model, and a list with a
# filter builds two. For a table with many columns this costs milliseconds of one core for each request.
#
# Observed on 2026-11-29 with Python 3.11, piccolo 1.38.0, piccolo-api 1.11.0, pydantic 2.14.3, starlette 1.10.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "piccolo[sqlite]==1.38.0" piccolo-api==1.11.0 \
    pydantic==2.14.3 starlette==1.10.0 httpx==0.28.1
cat >"$folder/piccolo_conf.py" <<'PYTHON'
from piccolo.engine.sqlite import SQLiteEngine

DB = SQLiteEngine(path="shop.sqlite")
PYTHON
cat >"$folder/show.py" <<'PYTHON'
import asyncio

import httpx
from piccolo.columns import Varchar
from piccolo.table import Table
from piccolo_api.crud import endpoints


class Flavor(Table):
    name = Varchar()


built = []
create = endpoints.create_pydantic_model


def counted(*args, **kwargs):
    built.append(kwargs.get("model_name"))
    return create(*args, **kwargs)


endpoints.create_pydantic_model = counted


async def main():
    await Flavor.create_table()
    await Flavor.insert(Flavor(name="Vanilla"))
    transport = httpx.ASGITransport(endpoints.PiccoloCRUD(table=Flavor))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
        for path in ("/", "/?name=Vanilla", "/1/"):
            (await client.get(path)).raise_for_status()
            counts = []
            for _ in range(3):
                built.clear()
                (await client.get(path)).raise_for_status()
                counts.append(len(built))
            print(f"GET {path}: models built in three further requests: {counts}")


asyncio.run(main())
PYTHON
cd "$folder"
"$folder/venv/bin/python" -W ignore show.py | tee seen
diff seen - <<'EXPECTED'
GET /: models built in three further requests: [1, 1, 1]
GET /?name=Vanilla: models built in three further requests: [2, 2, 2]
GET /1/: models built in three further requests: [1, 1, 1]
EXPECTED
