"""Test that the typed Python client in clients/python is the one of the API document."""

from pathlib import Path

import pytest

from clients import generate

# The document does not depend on the database.
pytestmark = [pytest.mark.only("sqlite"), pytest.mark.slow]


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in (folder / generate.PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_client_matches_the_document(tmp_path: Path) -> None:
    generate.generate(tmp_path)
    assert files(generate.PYTHON) == files(tmp_path), "run: make client"
