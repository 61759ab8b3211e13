"""Piccolo Admin, with our tables and forms, and its page."""

import logging
import warnings
from typing import Any

from piccolo_admin.endpoints import create_admin
from piccolo_api.rate_limiting.middleware import RateLimitProvider

from icecream import tables
from icecream.admin import forms, lists, login, rules
from icecream.http import middleware
from icecream.orders import placing

# These log every refusal with a traceback; unexpected errors are logged where they are handled.
for _name in ("piccolo_admin.endpoints", "piccolo_api.crud.exceptions"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
# Both warnings are known: http is for local use, and SQLite's LIKE ignores case by default.
warnings.filterwarnings("ignore", "If running sessions in production")
warnings.filterwarnings("ignore", ".*SQLite doesn't support ILIKE")

NAME = "Ice Cream Distribution"
LINKS = {
    "Dashboard": "/dashboard/",
    "Pending orders": "/admin/#/orders?status=pending",
    "Parked payments": "/admin/#/payment?state=parked",
    "API docs": "/schema",
    "Front page": "/",
}
_links = "".join(f'<a href="{address}">{name}</a>' for name, address in LINKS.items())
# HTML that is inserted into Piccolo's page, by the text that follows it. Piccolo itself shows
# links below all tables and forms, but none next to an open form. Without an icon, the page would
# request /favicon.ico. Piccolo's menu links to a page for a second factor, which exists only with a
# provider for it.
HTML_BEFORE = {
    "</head>": """<link rel="icon" href="data:,"><style>
#links { display: flex; gap: 0 1.5rem; overflow-x: auto; padding: 0 1rem; background: #23507a; }
li:has(> a[href="./api/mfa-setup/"]) { display: none !important; }
#links a { padding: 0.6rem 0; color: #fff; font: 0.95rem sans-serif; white-space: nowrap; }
</style>""",
    '<div id="app">': f'<nav id="links" aria-label="Links">{_links}</nav>',
}


class NoLimit(RateLimitProvider):
    """No limit of Piccolo's, which also counts successful sign-ins: ours apply, see `mount`."""

    def increment(self, identifier: str) -> None:
        """Count nothing."""


def build_admin(host: str, *, https: bool, notify: placing.NotifyWorkers) -> Any:
    """Return Piccolo's application; `notify` notifies the workers of payments."""
    piccolo = create_admin(
        lists.table_configs(),
        forms=forms.build_forms(notify),
        auth_table=rules.Account,
        session_table=tables.Session,
        auto_include_related=False,
        site_name=NAME,
        session_expiry=tables.SESSION_IDLE_TIME,
        max_session_expiry=tables.SESSION_LIFETIME,
        increase_expiry=tables.SESSION_WRITE_INTERVAL,
        production=https,
        allowed_hosts=[host],
        rate_limit_provider=NoLimit(),
    )
    piccolo.form_config_map = forms.FormsByAddress(piccolo.form_config_map)
    piccolo.router.add_route(
        login.SIGN_IN_PATH.removeprefix("/admin"), login.show_sign_in, methods=["GET"]
    )
    piccolo.template = piccolo.template.replace("Piccolo Admin", NAME)
    for place, text in HTML_BEFORE.items():
        piccolo.template = piccolo.template.replace(
            place, middleware.add_prefix_to_links(text) + place
        )
    return piccolo
