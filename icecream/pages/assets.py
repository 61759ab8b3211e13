"""Scripts and styles of pages: compressed once, and named by a hash of their content."""

import gzip
import hashlib
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath

from icecream import errors, settings

# The packages with pages; the files of their folders `static` have different names.
PACKAGES = ("pages", "dashboard", "shop", "staff", "webhook_pages")
ICECREAM = Path(__file__).parent.parent
# Chart.js and Chartkick, from the package that contains them. Its Python code requires Django or
# Flask, so it is not run.
_spec = find_spec("chartkick")
_origin = _spec.origin if _spec else None
CHARTKICK_FOLDER = Path(_origin or "").parent / "django/static/chartkick"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}
# One year. The name of a file changes with its content.
CACHE_FOREVER = "public, max-age=31536000, immutable"


class Asset:
    """A file that never changes: a new version has a new name."""

    def __init__(self, file: Path) -> None:
        self.body = file.read_bytes()
        self.media_type = MEDIA_TYPES[file.suffix]
        digest = hashlib.sha256(self.body).hexdigest()[:12]
        self.name = f"{file.stem.lower()}-{digest}{file.suffix}"

    @cached_property
    def compressed(self) -> bytes:
        """The compressed body, made at the first request, so that other commands start quickly."""
        return gzip.compress(self.body, mtime=0)


FILES = [
    CHARTKICK_FOLDER / "Chart.bundle.js",
    CHARTKICK_FOLDER / "chartkick.js",
    *(file for name in PACKAGES for file in sorted((ICECREAM / name / "static").iterdir())),
]
_assets = {file.name: Asset(file) for file in FILES}
ASSET_BY_NAME = {asset.name: asset for asset in _assets.values()}


def asset_path(file: str) -> str:
    """Return the path of a file for use in a page."""
    return f"{settings.load().prefix}/pages/{_assets[file].name}"


# In a thread: the first request waits for the compression, but orders do not.
@get(
    "/pages/{name:str}",
    sync_to_thread=True,
    include_in_schema=False,
    opt={"exclude_from_auth": True},
)
def get_asset(request: Request[None, None, State], name: FromPath[str]) -> Response[bytes]:
    """Return a script or a style sheet."""
    if name not in ASSET_BY_NAME:
        raise errors.NotFound
    asset = ASSET_BY_NAME[name]
    headers = {"Cache-Control": CACHE_FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return Response(asset.body, media_type=asset.media_type, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(asset.compressed, media_type=asset.media_type, headers=headers)
