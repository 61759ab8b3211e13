"""Test that packages for features that are not used, or not yet, are not imported."""

import subprocess
import sys

import pytest

from icecream.runtime import optional_imports

SERVER = """
from icecream.cli import commands, serve
with commands.errors_in_one_line():
    serve.create_app()
"""
WORKER = """
from icecream.cli import commands
with commands.errors_in_one_line():
    import tasks.worker, icecream.http.metrics
"""
UNUSED = {
    "aiohttp",
    "attr",
    "black",
    "cryptography.x509",
    "fastapi",
    "jinja2",
    "opentelemetry",
    "piccolo.apps.migrations.auto",
    "piccolo_admin",
    "pydantic.v1",
    "rich",
}
LATER = {"pydantic", "redis", "taskiq", "yaml"}


def test_a_hidden_package_cannot_be_imported_in_the_block_only() -> None:
    for _ in range(2):
        with optional_imports.hidden("colorsys", "nturl2path"):
            for name in ("colorsys", "nturl2path"):
                with pytest.raises(ImportError):
                    __import__(name)
        import colorsys

        assert sys.modules["colorsys"] is colorsys


def test_a_replaced_package_has_any_name_in_the_block_only() -> None:
    for _ in range(2):
        with optional_imports.replaced("colorsys"):
            import colorsys

            assert colorsys.nonsense
            with pytest.raises(ImportError):
                __import__("colorsys.nonsense")
        import colorsys

        assert not hasattr(colorsys, "nonsense")
        assert sys.modules["colorsys"] is colorsys


@pytest.mark.parametrize(
    ("start", "absent"), [(SERVER, UNUSED | LATER), (WORKER, UNUSED)], ids=["server", "worker"]
)
def test_a_start_imports_neither_the_admin_nor_unused_packages(
    start: str, absent: set[str]
) -> None:
    loaded = f"{start}\nimport sys; print({absent} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr
