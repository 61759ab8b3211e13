"""Piccolo Admin, with our tables and forms, and its page."""

import logging
import warnings
from typing import Any

from piccolo_admin.endpoints import AdminRouter, FormConfigResponseModel
from piccolo_api.rate_limiting.middleware import RateLimitProvider
from starlette.requests import Request
from starlette.responses import HTMLResponse

from icecream import tables
from icecream.accounts import users
from icecream.accounts.http import sessions
from icecream.admin import forms, lists, rules
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
# request /favicon.ico. The script hides what does not work, see `database.js`.
HTML_BEFORE = {
    "</head>": """<link rel="icon" href="data:,"><link rel="stylesheet" href="/assets/database.css">
<script src="/assets/database.js" defer></script>""",
    '<div id="app">': f'<nav id="links" aria-label="Links" data-read-only="{{}}">{_links}</nav>',
}


class Site(AdminRouter):
    """Piccolo's application, whose page knows what the caller can change."""

    async def get_root(self, request: Request) -> HTMLResponse:
        """Return the page; it names the tables that the caller cannot change."""
        user = await users.find_session_user(request.cookies.get(sessions.COOKIE, ""))
        read_only = {config.table_class._meta.tablename for config in self.table_configs}
        read_only -= lists.EDITABLE
        if user is None or not user.superuser:
            read_only.add(tables.User._meta.tablename)
        return HTMLResponse(self.template.replace("{}", " ".join(sorted(read_only))))

    async def get_single_form(  # type: ignore[override]  # FastAPI awaits it
        self, form_slug: str
    ) -> FormConfigResponseModel:
        """Return a form; its description begins with what staff have to know about the order."""
        form = super().get_single_form(form_slug)
        facts = await forms.describe_subject(form_slug)
        form.description = f"{facts} {form.description}".strip()
        return form


class NoLimit(RateLimitProvider):
    """No limit of Piccolo's, which also counts successful sign-ins: ours apply, see `mount`."""

    def increment(self, identifier: str) -> None:
        """Count nothing."""


def build_admin(host: str, *, https: bool, notify: placing.NotifyWorkers) -> Any:
    """Return Piccolo's application; `notify` notifies the workers of payments."""
    piccolo = Site(
        *lists.table_configs(),
        forms=forms.build_forms(notify),
        auth_table=rules.Account,
        session_table=tables.Session,
        site_name=NAME,
        session_expiry=tables.SESSION_IDLE_TIME,
        max_session_expiry=tables.SESSION_LIFETIME,
        increase_expiry=tables.SESSION_WRITE_INTERVAL,
        production=https,
        allowed_hosts=[host],
        rate_limit_provider=NoLimit(),
    )
    piccolo.form_config_map = forms.FormsByAddress(piccolo.form_config_map)
    piccolo.template = piccolo.template.replace("Piccolo Admin", NAME)
    for place, text in HTML_BEFORE.items():
        piccolo.template = piccolo.template.replace(
            place, middleware.add_prefix_to_links(text) + place
        )
    return piccolo
