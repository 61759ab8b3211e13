"""Stores the description of the API for a release: `make api-release`."""

from icecream import __version__, app
from tests.compatibility import description

if __name__ == "__main__":
    lines = description.describe(app.litestar().openapi_schema.to_schema())
    title = f"The API of version {__version__}, as `make api-release` wrote it."
    description.store_released(lines, title)
