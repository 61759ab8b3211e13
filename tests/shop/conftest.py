"""A signed-in shop for the tests of its pages."""

import httpx
import pytest

from tests.conftest import new_user
from tests.shop.visitors import Visitor, sign_in


@pytest.fixture
async def shop(nothing_due: None, client: httpx.AsyncClient, hashed: str) -> Visitor:
    return await sign_in(client, await new_user(hashed))
