"""No endpoint of an earlier test is left, and a test delivers by itself."""

from tests.webhooks.conftest import service  # noqa: F401  # fixture
