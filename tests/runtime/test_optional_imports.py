"""Test that packages for optional features of libraries are not imported."""

import subprocess
import sys

import pytest

from icecream.runtime import optional_imports


def test_a_hidden_package_cannot_be_imported_in_the_block_only() -> None:
    for _ in range(2):
        with optional_imports.hidden("colorsys"), pytest.raises(ImportError):
            import colorsys
        import colorsys

        assert sys.modules["colorsys"] is colorsys


def test_a_server_imports_neither_the_admin_nor_unused_packages_at_its_start() -> None:
    hidden = "{'cryptography.x509', 'fastapi', 'piccolo_admin'}"
    loaded = f"import sys, icecream.app; print({hidden} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True)
    assert result.stdout == "set()\n"
