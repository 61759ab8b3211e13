#!/usr/bin/env bash
# A frozen query of Piccolo returns other values than the query from which it was made.
#
# `freeze` is for queries that run often: their SQL is built only once. Expected: the result stays the same. But a
# frozen `select` with `output(load_json=True)` returns JSON columns as text, and one with `output(nested=True)` returns
# flat dictionaries. There is no error. With `objects` and `as_list` the result is the same.
# Also, the documentation awaits the frozen query itself, which raises a TypeError: only its method `run` works.
#
# Observed on 2026-12-01 with Python 3.11 and piccolo 1.38.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "piccolo[sqlite]==1.38.0"
cat >"$folder/piccolo_conf.py" <<'PYTHON'
from piccolo.engine.sqlite import SQLiteEngine

DB = SQLiteEngine(path="shop.sqlite")
PYTHON
cat >"$folder/show.py" <<'PYTHON'
import asyncio

from piccolo.columns import JSON, ForeignKey, Varchar
from piccolo.table import Table


class Flavor(Table):
    name = Varchar()
    allergens = JSON()


class Line(Table):
    flavor = ForeignKey(Flavor)


async def main():
    await Flavor.create_table()
    await Line.create_table()
    flavor = Flavor(name="Nougat", allergens=["milk", "nuts"])
    await flavor.save()
    await Line(flavor=flavor).save()
    for option, query in {
        "load_json": Flavor.select(Flavor.allergens).output(load_json=True),
        "nested": Line.select(Line.flavor.name).output(nested=True),
        "as_list": Flavor.select(Flavor.name).output(as_list=True),
    }.items():
        print(f"{option}: {await query}, frozen: {await query.freeze().run()}")
    try:
        await Flavor.select().freeze()
    except TypeError as error:
        print(f"await: {error}")


asyncio.run(main())
PYTHON
cd "$folder"
"$folder/venv/bin/python" -W ignore show.py | tee seen
diff seen - <<'EXPECTED'
load_json: [{'allergens': ['milk', 'nuts']}], frozen: [{'allergens': '["milk", "nuts"]'}]
nested: [{'flavor': {'name': 'Nougat'}}], frozen: [{'flavor.name': 'Nougat'}]
as_list: ['Nougat'], frozen: ['Nougat']
await: object FrozenQuery can't be used in 'await' expression
EXPECTED
