"""A browser of staff without a script: it reads pages, and sends their forms."""

import re
from html import unescape
from typing import Any

import httpx

from icecream.accounts.http import sessions
from icecream.tables import Session, User
from tests.conftest import Caller

MESSAGE = re.compile(r'<p[^>]*class="(?:problem|saved|card alarm|card done)"[^>]*>([^<]*)')


class Browser(Caller):
    """A signed-in user; `send` adds the token that every form of the user's pages has."""

    def __init__(self, client: httpx.AsyncClient, user: User, session: str) -> None:
        super().__init__(client, user, "")
        self.session = session

    async def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"Cookie": f"id={self.session}"}
        return await self.client.request(method, path, headers=headers, **kwargs)

    async def send(self, path: str, **fields: Any) -> httpx.Response:
        csrf = sessions.csrf_token(self.session)
        return await self.request("POST", path, data={"csrf": csrf} | fields)


async def browse(client: httpx.AsyncClient, user: User) -> Browser:
    session = await Session.create_session(user.id)
    return Browser(client, user, session.token)


def messages(answer: httpx.Response) -> list[str]:
    """Return what a page says about a form, from top to bottom."""
    return [unescape(text) for text in MESSAGE.findall(answer.text)]


def hidden(answer: httpx.Response, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', answer.text)
    assert found
    return unescape(found[1])


def value_of(answer: httpx.Response, name: str) -> str:
    """Return what a field shows."""
    found = re.search(rf'<input id="{name}" name="{name}" value="([^"]*)"', answer.text)
    assert found
    return unescape(found[1])
