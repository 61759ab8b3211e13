"""Generates the typed Python client from the API document: `make client`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from icecream import app
from icecream.http import openapi

PYTHON = Path(__file__).parent / "python"
PACKAGE = "icecream_client"


def generate(folder: Path) -> None:
    """Write the package of the client into a folder."""
    tools = Path(sys.executable).parent
    document = openapi.for_generators(app.litestar().openapi_schema.to_schema())
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        options = [f"--path={file.name}", f"--config={PYTHON}/generator.yaml", "--meta=none"]
        options += ["--overwrite", f"--output-path={folder / PACKAGE}", "--fail-on-warning"]
        subprocess.run(
            [str(tools / "openapi-python-client"), "generate", *options],
            check=True,
            # The generator calls Ruff.
            env=os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        )
    (folder / PACKAGE / "py.typed").touch()


if __name__ == "__main__":
    generate(PYTHON)
