"""Test the authorization matrix: every route, for every kind of caller and object."""

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
import pytest
from piccolo.query.functions.aggregate import Max

from icecream import change_history
from icecream.accounts import api_keys, refresh_tokens
from icecream.tables import APP_CONFIG, IdempotencyKey, Notice, User
from icecream.webhooks import endpoint_types, endpoints
from tests.admin.test_admin import READ_ONLY, browser, session
from tests.conftest import apply_all, new_flavor, new_user, payment_id, place, refund_line
from tests.security import matrix
from tests.security.calls import Response, call

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:If running sessions in production"),
    pytest.mark.filterwarnings("ignore:.*SQLite doesn't support ILIKE"),
]
LINES = matrix.read_lines()


@pytest.mark.only("sqlite")
def test_every_route_is_in_the_matrix_once() -> None:
    names = Counter(line.name for line in LINES)
    assert names == Counter(matrix.find_routes())


# Values for the parameters in paths and bodies that are no objects.
VALUES = {
    "provider": "simulated",
    "kind": "prices",
    "name": "missing.js",
    "path": "missing.js",
    "language_code": "en",
    "form_slug": "cancel-an-order",
}
MISSING = 999_999_999
OBJECTS = ("order", "payment", "flavor", "user", "api_key", "endpoint", "row_id")


class Account(NamedTuple):
    """An account and what its owner sends: a token to the API, a cookie to the pages."""

    user: User
    token: dict[str, str]
    session: dict[str, str]

    def headers(self, path: str) -> dict[str, str]:
        return self.token if path.startswith("/api") else self.session


def visitor(client: httpx.AsyncClient, **cookies: str) -> dict[str, str]:
    """Return the headers that a browser sends after it has loaded the sign-in page."""
    page = browser(client._transport, **cookies)
    jar = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    return {"Cookie": jar, "X-CSRFToken": page.headers["X-CSRFToken"]}


async def sign_in(client: httpx.AsyncClient, user: User) -> Account:
    token = (await refresh_tokens.issue_pair(user)).access
    cookies = visitor(client, id=await session(user))
    return Account(user, {"Authorization": f"Bearer {token}"}, cookies)


@pytest.fixture
async def accounts(client: httpx.AsyncClient, hashed: str) -> dict[str, Account]:
    users = {
        "customer": await new_user(hashed),
        "other": await new_user(hashed),
        "staff": await new_user(hashed, admin=True),
        "admin": await new_user(hashed, admin=True, superuser=True),
        "disabled": await new_user(hashed, admin=True, superuser=True),
    }
    signed_in = {name: await sign_in(client, user) for name, user in users.items()}
    await User.update({User.active: False}).where(User.id == users["disabled"].id)
    return signed_in


async def new_objects(customer: User) -> dict[str, int]:
    """Create an order of this customer, and a row in every table of the admin."""
    flavor = await new_flavor(stock=10)
    await change_history.record_changes("flavor", flavor, {}, {"price": 250}, by=customer.id)
    placed = await place(customer.id, {flavor: 1})
    now = datetime.now(UTC)
    await IdempotencyKey(
        user=customer.id,
        key=f"key {flavor}",
        fingerprint="",
        status=200,
        answer="{}",
        created_at=now,
    ).save()
    await Notice(
        provider="stripe",
        event=f"evt_{flavor}",
        key="",
        reference="",
        received_at=now,
        applied_at=now,
    ).save()
    await refund_line(placed.order)
    await apply_all()
    key, _ = await api_keys.create_key(customer.id, "a program", ["read"])
    new = endpoint_types.NewWebhookEndpoint(f"https://shop.example.org/{flavor}")
    endpoint = (await endpoints.create_endpoint(new, user=customer.id)).id
    return {
        "order": placed.order,
        "payment": payment_id(placed),
        "flavor": flavor,
        "api_key": key["id"],
        "endpoint": endpoint,
        "user": customer.id,
    }


async def newest_row(table: str) -> int:
    (found,) = [one for one in APP_CONFIG.table_classes if one._meta.tablename == table]
    row = await found.select(Max(found._meta.primary_key)).first()
    assert row is not None
    return int(row["max"])


def names_in(line: matrix.Line) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", line.path + line.body))


class Requests:
    """The requests of one line of the matrix, each about new objects of one customer."""

    def __init__(self, client: httpx.AsyncClient, line: matrix.Line, customer: User) -> None:
        transport: Any = client._transport
        self.app, self.line, self.customer = transport.app, line, customer
        self.names = names_in(line)

    async def send(
        self, caller: User, headers: dict[str, str], *, missing: bool = False, method: str = ""
    ) -> list[Response]:
        """Send the request; for {table}, one request for each table."""
        values: dict[str, Any] = VALUES | {"username": caller.username}
        if {*OBJECTS, "new"} & self.names:
            values |= await new_objects(self.customer)
            values["new"] = f"new-{values['flavor']}"
        tables = (
            sorted(READ_ONLY) if "table" in self.names else self.line.path.split("/")[4:5] or [""]
        )
        answers = []
        for table in tables:
            values["table"] = table
            if "row_id" in self.names:
                values["row_id"] = await newest_row(table)
            if missing:
                values |= dict.fromkeys(OBJECTS, MISSING)
            path, body = self.line.path, self.line.body
            for name in self.names:
                path = path.replace(f"{{{name}}}", str(values[name]))
                body = body.replace(f"{{{name}}}", str(values[name]))
            kind = {"Content-Type": "application/json"} if body else {}
            answer = await call(
                self.app, method or self.line.method, path, headers | kind, body=body.encode()
            )
            check_header_fields(answer)
            answers.append(answer)
        return answers


def check_header_fields(answer: Response) -> None:
    """Check the header fields that protect every answer, also a refusal or a file."""
    fields = answer.headers
    # The pages of Piccolo Admin, Swagger UI and ReDoc have inline styles.
    policy = fields["content-security-policy"].replace("style-src 'self' 'unsafe-inline'", "")
    assert "default-src" in policy and "unsafe" not in policy and "*" not in policy
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["x-frame-options"] == "DENY"
    assert fields["referrer-policy"] == "same-origin"


def status_of(answers: list[Response]) -> int:
    (status,) = {answer.status for answer in answers}
    return status


BY_NAME = pytest.mark.parametrize("line", LINES, ids=[line.name for line in LINES])
WITH_OBJECT = [line for line in LINES if line.missing is not None]
OF_CUSTOMERS = [line for line in LINES if line.other is not None]


@pytest.fixture
def requests(
    client: httpx.AsyncClient, accounts: dict[str, Account], line: matrix.Line
) -> Requests:
    return Requests(client, line, accounts["customer"].user)


@BY_NAME
async def test_each_caller_gets_the_status_of_the_matrix(
    client: httpx.AsyncClient, requests: Requests, accounts: dict[str, Account], line: matrix.Line
) -> None:
    found = {
        name: status_of(await requests.send(one.user, one.headers(line.path)))
        for name, one in accounts.items()
    }
    customer = accounts["customer"].user
    found["anonymous"] = status_of(await requests.send(customer, visitor(client)))
    assert found == {
        "anonymous": line.anonymous,
        "disabled": line.disabled,
        "customer": line.customer,
        "other": line.customer if line.other is None else line.other,
        "staff": line.staff,
        "admin": line.admin,
    }


@pytest.mark.parametrize("line", WITH_OBJECT, ids=[line.name for line in WITH_OBJECT])
async def test_a_missing_object_is_missing_for_staff(
    requests: Requests, accounts: dict[str, Account], line: matrix.Line
) -> None:
    staff = accounts["staff"]
    answers = await requests.send(staff.user, staff.headers(line.path), missing=True)
    assert status_of(answers) == line.missing


@pytest.mark.parametrize("line", OF_CUSTOMERS, ids=[line.name for line in OF_CUSTOMERS])
async def test_the_object_of_another_customer_looks_like_a_missing_one(
    requests: Requests, accounts: dict[str, Account], line: matrix.Line
) -> None:
    other = accounts["other"]
    looks = [
        without_ids(answer)
        for missing in (False, True)
        for answer in await requests.send(other.user, other.headers(line.path), missing=missing)
    ]
    assert looks[0] == looks[1]


def without_ids(answer: Response) -> tuple[int, set[str], str]:
    """Return what a caller can compare: the status, the names of the fields, the text."""
    text = re.sub(r'"request_id":"\w+"|\d+', "", answer.body.decode())
    return answer.status, set(answer.headers), text


# The kind of credentials and the method are checked before the database is asked.
@pytest.mark.only("sqlite")
@BY_NAME
async def test_a_session_does_not_open_the_api_nor_a_token_the_pages(
    client: httpx.AsyncClient, requests: Requests, accounts: dict[str, Account], line: matrix.Line
) -> None:
    admin = accounts["admin"]
    headers = visitor(client) | (admin.session if line.path.startswith("/api") else admin.token)
    customer = accounts["customer"].user
    assert status_of(await requests.send(customer, headers)) == line.anonymous


@pytest.mark.only("sqlite")
@BY_NAME
async def test_head_is_as_get_and_options_is_for_all(
    client: httpx.AsyncClient, requests: Requests, accounts: dict[str, Account], line: matrix.Line
) -> None:
    if not line.path.startswith("/admin"):
        answers = await requests.send(accounts["disabled"].user, {}, method="OPTIONS")
        assert status_of(answers) == 204
    if line.method == "GET":
        customer = accounts["customer"]
        headers = customer.headers(line.path)
        answers = await requests.send(customer.user, headers, method="HEAD")
        assert status_of(answers) == line.customer
        assert not any(answer.body for answer in answers)
