"""Staff who are signed in to the pages."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from icecream import app
from icecream.accounts.http import sessions
from icecream.tables import Session, User
from tests.conftest import new_user


class Clerk:
    """The browser of a staff user, without a script."""

    def __init__(self, client: httpx.AsyncClient, user: User, session: str) -> None:
        self.client, self.user, self.csrf = client, user, sessions.csrf_token(session)

    async def open(self, path: str, status: int = 200) -> str:
        """Return the text of a page."""
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def send(self, path: str, **fields: object) -> httpx.Response:
        """Send a form of a page."""
        return await self.client.post(path, data={"csrf": self.csrf, **fields})


def hidden(html: str, name: str) -> str:
    """Return the value of the last hidden field with this name."""
    found: list[str] = re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', html)
    return found[-1]


@pytest.fixture
async def clerk(opened: None, hashed: str) -> AsyncIterator[Clerk]:
    user = await new_user(hashed, admin=True)
    session = (await Session.create_session(user.id)).token
    transport = httpx.ASGITransport(app.create(), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", cookies={"id": session}
    ) as client:
        yield Clerk(client, user, session)
