#!/usr/bin/env bash
# SQLite 3.40 (Debian 12) finds a row by two columns with their unique index if the list of pairs has one
# pair, and reads the whole table if it has two: WHERE (a, b) IN (VALUES (1, 2), (3, 4)).
#
# Expected: a search of the index for each pair, as for a list of values of one column, and as a CROSS JOIN
# with the same list of pairs does in the same release. SQLite 3.45 and later search it.
#
# Observed on 2026-12-01 with Python 3.11, apsw 3.40.0.0 (which contains SQLite 3.40.0).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check apsw==3.40.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import apsw

database = apsw.Connection(":memory:")
database.cursor().execute("CREATE TABLE event (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, UNIQUE (a, b))")
CASES = {
    "one pair": "SELECT id FROM event WHERE (a, b) IN (VALUES (1, 2))",
    "two pairs": "SELECT id FROM event WHERE (a, b) IN (VALUES (1, 2), (3, 4))",
    "two values": "SELECT id FROM event WHERE a IN (VALUES (1), (3))",
    "two pairs, CROSS JOIN": "WITH wanted (x, y) AS (VALUES (1, 2), (3, 4)) "
    "SELECT id FROM wanted CROSS JOIN event ON a = x AND b = y",
}
found = {}
for name, query in CASES.items():
    steps = [row[3] for row in database.cursor().execute(f"EXPLAIN QUERY PLAN {query}")]
    (found[name],) = [step for step in steps if step.startswith(("SCAN event", "SEARCH event"))]
    print(f"{name}: {found[name]}")
assert found["two pairs"].startswith("SCAN"), "changed: the index is searched for two pairs"
assert all(plan.startswith("SEARCH") for name, plan in found.items() if name != "two pairs")
PYTHON
