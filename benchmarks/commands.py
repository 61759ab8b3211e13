"""Run other programs and wait until they end."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def run_command(
    *command: str | Path, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Return the output of a program.

    Raises:
        RuntimeError: the program failed; the error contains its output.
    """
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{result.stdout}{result.stderr}".strip())
    return result.stdout.strip()
