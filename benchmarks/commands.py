"""Other programs, run to their end."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def said(
    *command: str | Path, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """What a program says.

    Raises:
        RuntimeError: it failed, with all it said.
    """
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}".strip())
    return done.stdout.strip()
