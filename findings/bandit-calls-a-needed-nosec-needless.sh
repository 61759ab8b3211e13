#!/usr/bin/env bash
# Inside a dictionary over several lines, bandit honors a "nosec" comment, and at the same time warns that the
# comment is needless.
#
# Expected: a warning "nosec encountered, but no failed test" only if the line has no finding without the comment.
# Here the line has one: without the comment bandit reports B105 (hardcoded password) and exits with 1. With the
# comment it exits with 0, but warns about it. The likely cause: the check runs for several nodes of the syntax
# tree that begin on this line, and warns for each one that has no finding of its own.
# If you remove the comment, as the warning suggests, the finding returns. If you keep it, each run warns.
# On a line of its own, outside of a dictionary, the comment causes no warning.
#
# Observed on 2026-11-29 with Python 3.11 and bandit 1.9.4.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check bandit==1.9.4
cat >"$folder/plain.py" <<'PYTHON'
EXAMPLE = {
    "secret": "an example",
}
PYTHON
cat >"$folder/marked.py" <<'PYTHON'
EXAMPLE = {
    "secret": "an example",  # nosec B105
}
PYTHON
cat >"$folder/alone.py" <<'PYTHON'
secret = "an example"  # nosec B105
PYTHON
for name in plain marked alone; do
    status=0
    "$folder/venv/bin/bandit" --quiet "$folder/$name.py" >"$folder/report" 2>"$folder/errors" || status=$?
    found=$(grep -c "Issue: \[B105" "$folder/report" || true)
    warned=$(grep -c "nosec encountered (B105), but no failed test" "$folder/errors" || true)
    echo "$name: exit $status, $found findings, $warned warnings"
done | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
plain: exit 1, 1 findings, 0 warnings
marked: exit 0, 0 findings, 1 warnings
alone: exit 0, 0 findings, 0 warnings
EXPECTED
