"""A shop's browser, without a browser: it fills in the forms of the pages and sends them."""

import html
import re
from collections.abc import Mapping
from typing import Any

import httpx

from icecream.tables import Session, User

FORM = re.compile(r'<form[^>]* action="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
FIELD = re.compile(r'<input[^>]*? name="([^"]*)"[^>]*>|<textarea name="([^"]*)"[^>]*>([^<]*)')
VALUE = re.compile(r' value="([^"]*)"')


def fields_of(page: str, action: str) -> dict[str, str]:
    """Return the fields of the form with this address, as a browser would send them."""
    (form,) = [body for address, body in FORM.findall(page) if address == action]
    found = {}
    for field in FIELD.finditer(form):
        name = field[1] or field[2]
        value = VALUE.search(field[0])
        found[name] = html.unescape(field[3] or (value[1] if value else ""))
    return found


class Visitor:
    """A user with a session in the pages."""

    def __init__(self, client: httpx.AsyncClient, user: User, session: str) -> None:
        self.client, self.user, self.session = client, user, session

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path, headers={"Cookie": f"id={self.session}"})

    async def post(self, path: str, fields: Mapping[str, Any]) -> httpx.Response:
        headers = {"Cookie": f"id={self.session}"}
        return await self.client.post(path, data=fields, headers=headers)

    async def fill(self, page: str, address: str, **typed: Any) -> httpx.Response:
        """Send a form of a page that is open, with these values."""
        values = {name.replace("__", "-"): str(value) for name, value in typed.items()}
        return await self.post(address, fields_of(page, address) | values)


async def sign_in(client: httpx.AsyncClient, user: User) -> Visitor:
    # With its own cookies: all tests share the other client.
    browser = httpx.AsyncClient(transport=client._transport, base_url=client.base_url)
    return Visitor(browser, user, (await Session.create_session(user.id)).token)
