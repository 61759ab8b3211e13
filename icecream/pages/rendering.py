"""The rendering of pages: templates, their layout, and the header fields of a page."""

from functools import cache
from pathlib import Path
from typing import Any

from litestar import MediaType, Response

from icecream import settings, states
from icecream.pages import assets, formatting
from icecream.runtime import passwords

# Scripts, styles and figures only from our host, and nothing inline. Chart.js positions its canvas
# with the style object, which does not count as an inline style.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": CSP, "Cache-Control": "no-store"}
# The pages that every page of staff links to, in this order.
STAFF_PAGES = {
    "Dashboard": "/dashboard/",
    "Orders": "/staff/orders/",
    "Flavors": "/staff/flavors/",
    "Customers": "/staff/customers/",
    "Packing list": "/staff/packing/",
}
# Templates are named by their path in this folder, for example `pages/layout.html`.
TEMPLATES_FOLDER = Path(__file__).parent.parent


@cache
def environment() -> Any:
    """Return the templates of all packages, with their filters."""
    # Most processes never render a page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= formatting.FILTERS
    made.globals |= {
        "asset": assets.asset_path,
        "prefix": settings.load().prefix,
        "actions": states.ACTIONS,
        "staff_pages": STAFF_PAGES,
        "password_lengths": {"min": passwords.MIN_LENGTH, "max": passwords.MAX_LENGTH},
    }
    return made


def render(template: str, **values: Any) -> str:
    """Render a template. One that extends the layout needs a `visitor`."""
    text: str = environment().get_template(template).render(**values)
    return text


def html_response(text: str, status: int = 200) -> Response[str]:
    """Return a page, which no cache may store."""
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=HEADERS)


def redirect(address: str) -> Response[None]:
    """Redirect to a page, also after a form."""
    return Response(None, status_code=303, headers=HEADERS | {"Location": address})
