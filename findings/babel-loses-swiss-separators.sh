#!/usr/bin/env bash
# Babel writes a number of seven or more digits without separators if the locale separates groups with an
# apostrophe, as Swiss locales do: 1'234.50 but 1234567.50.
#
# Expected: 1'234'567.50. The cause: NumberPattern.apply removes quotes from its whole result, to remove those
# of the pattern. Two separators look like a pair of quotes. Until CLDR 48 the separator was another character.
#
# Observed on 2026-11-29 with Python 3.11, babel 2.19.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check babel==2.19.0
"$folder/venv/bin/python" - <<'PYTHON'
from babel.numbers import format_decimal

for number in (1234.5, 1234567.5):
    print(format_decimal(number, locale="de_CH"))
PYTHON
