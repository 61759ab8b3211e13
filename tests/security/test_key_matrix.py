"""Test what API keys may call: every route that needs a token, for keys of each kind."""

import httpx
import pytest

from icecream.accounts import api_keys
from tests.conftest import new_user
from tests.security import matrix
from tests.security.test_matrix import Requests, status_of

pytestmark = pytest.mark.anyio
LINES = [
    line
    for line in matrix.read_lines()
    if line.path.startswith("/api/") and line.anonymous == 401 and line.customer != 401
]
# A new route is refused unless it is in one of these lists.
READS_WITH_A_PASSWORD_ONLY = {"GET /api/keys"}
CHANGES = {
    "POST /api/flavors/add",
    "PATCH /api/flavors/{flavor}",
    "POST /api/flavors/{flavor}/stock",
    "POST /api/import/{kind}",
    "POST /api/orders",
    "POST /api/orders/quote",
    "POST /api/orders/fulfilment",
    "POST /api/orders/{order}/cancel",
    "POST /api/orders/{order}/pay",
    "POST /api/orders/{order}/refund",
    "POST /api/payments/{payment}/retry",
    "POST /api/payments/{payment}/book",
    "POST /api/payments/{payment}/release",
    "POST /api/payments/{payment}/refund",
}


def expected(line: matrix.Line, scopes: list[str], *, staff: bool) -> int:
    """Return the status for a key of the object's customer, or of staff."""
    reads = line.method == "GET" and line.name not in READS_WITH_A_PASSWORD_ONLY
    changes = line.name in CHANGES and "order" in scopes
    if not (reads or changes):
        return 403
    if "staff" in scopes:
        return line.staff
    return line.customer if not staff or line.other is None else line.other


KINDS = [(["read"], False), (["order"], False)]
KINDS += [([*scopes, *more], True) for scopes in (["read"], ["order"]) for more in ([], ["staff"])]


@pytest.mark.parametrize("line", LINES, ids=[line.name for line in LINES])
async def test_each_key_gets_the_status_of_its_scopes(
    client: httpx.AsyncClient, hashed: str, line: matrix.Line
) -> None:
    customer, staff = await new_user(hashed), await new_user(hashed, admin=True)
    requests = Requests(client, line, customer)
    for scopes, is_staff in KINDS:
        owner = staff if is_staff else customer
        _, key = await api_keys.create_key(owner.id, "a program", scopes)
        answers = await requests.send(owner, {"Authorization": f"Bearer {key}"})
        assert status_of(answers) == expected(line, scopes, staff=is_staff), (scopes, is_staff)
