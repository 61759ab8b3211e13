"""Packages that a library imports for features not used here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Placeholder(ModuleType):
    """A module that has every name, and no modules below it."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            raise AttributeError(name)
        return Any


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Let imports in this block proceed as if these packages were not installed."""
    # Python's own way to say that an import fails.
    with _exchanged(dict.fromkeys(packages)):
        yield


@contextmanager
def replaced(*packages: str) -> Iterator[None]:
    """Let imports in this block get placeholders, for packages that a library cannot miss.

    The library works, as long as nothing calls its functions that use them.
    """
    with _exchanged({package: _Placeholder(package) for package in packages}):
        yield


@contextmanager
def _exchanged(modules: dict[str, ModuleType | None]) -> Iterator[None]:
    imported = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)  # type: ignore[arg-type]  # None is documented, but not in the stubs
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
        sys.modules.update(imported)
