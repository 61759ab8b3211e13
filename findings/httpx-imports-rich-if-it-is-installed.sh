#!/usr/bin/env bash
# `import httpx` imports rich and Pygments, if some other package has installed them.
#
# Expected: the library imports what it needs for HTTP. httpx also imports its command line, which is an optional
# part (`httpx[cli]`), whenever the packages of that part can be imported. So a service that uses httpx pays for
# them in its start time and its memory, because a tool in the same environment needs rich. Nothing in the code of
# the service says so, and it cannot be switched off. httpcore, on which httpx is built, imports neither.
#
# Observed on 2026-11-29 with Python 3.11, httpx 0.28.1, click 8.3.1, rich 14.2.0 and pygments 2.19.2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" install -q --disable-pip-version-check)
"${pip[@]}" httpx==0.28.1 anyio
imported() {
    "$folder/venv/bin/python" -c "import sys, $1; print('$1, $2:', *sorted({'rich', 'pygments'} & sys.modules.keys()) or ['neither'])"
}
{
    imported httpx "alone"
    "${pip[@]}" click==8.3.1 rich==14.2.0 pygments==2.19.2
    imported httpx "beside rich"
    imported httpcore "beside rich"
} | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
httpx, alone: neither
httpx, beside rich: pygments rich
httpcore, beside rich: neither
EXPECTED
