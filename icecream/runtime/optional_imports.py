"""Packages that a library imports only because they are installed, for features not used here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """Let imports in this block proceed as if a package was not installed."""
    imported = sys.modules.get(package)
    # Python's own way to say that an import fails.
    sys.modules[package] = None  # type: ignore[assignment]  # documented, but not in the stubs
    try:
        yield
    finally:
        del sys.modules[package]
        if imported is not None:
            sys.modules[package] = imported
