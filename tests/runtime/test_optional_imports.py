"""Test that packages for optional features of libraries are not imported."""

import subprocess
import sys

import pytest

from icecream.runtime import optional_imports


def test_a_hidden_package_cannot_be_imported_in_the_block_only() -> None:
    sys.modules.pop("colorsys", None)
    with optional_imports.hidden("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    with optional_imports.hidden("colorsys"):
        assert sys.modules["colorsys"] is colorsys


def test_a_server_imports_the_admin_only_at_its_first_request() -> None:
    loaded = "import sys, icecream.app; print({'fastapi', 'piccolo_admin'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True)
    assert result.stdout == "set()\n"
