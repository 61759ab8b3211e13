"""Look for known vulnerabilities in lists of pinned requirements: python .ci/audit.py FILE...

The advisory service cannot be reached from everywhere, and a mirror may not offer it. What was not
checked is reported, and is no failure: nothing is known against it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def find_advisories(names: list[str]) -> list[dict[str, Any]]:
    """Return each package with its vulnerabilities, or with the reason why it was skipped."""
    command = [str(Path(sys.executable).with_name("pip-audit")), "--disable-pip", "--no-deps"]
    command += ["--format=json", "--progress-spinner=off"]
    for name in names:
        command += ["--requirement", name]
    run = subprocess.run(command, capture_output=True, text=True)
    if not run.stdout:
        sys.stderr.write(run.stderr.strip().rpartition("\n")[2] + "\n")
        return []
    found: list[dict[str, Any]] = json.loads(run.stdout)["dependencies"]
    return found


def main(names: list[str]) -> int:
    packages = find_advisories(names)
    checked = [one for one in packages if "vulns" in one]
    vulnerable = [one for one in checked if one["vulns"]]
    for one in vulnerable:
        for found in one["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "no version"
            sys.stdout.write(f"{one['name']} {one['version']}: {found['id']}, fixed in {fixed}\n")
    if not checked:
        sys.stdout.write("The advisory service was not reached: nothing was checked.\n")
    else:
        sys.stdout.write(f"{len(checked)} of {len(packages)} packages were checked.\n")
    return int(bool(vulnerable))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
