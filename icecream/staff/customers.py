"""The pages for accounts: the list, and a new account."""

import secrets
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from icecream import errors
from icecream.accounts import directory, users
from icecream.http import pagination
from icecream.pages import access, forms, rendering
from icecream.reporting import customers
from icecream.staff import account_form, customer

Search = Annotated[str, QueryParameter(max_length=100)]
SHOWN = {"all": "All", "shops": "Shops", "staff": "Staff", "disabled": "Disabled"}


class ListedAccount(Struct, frozen=True):
    """An account in the list, and its orders if it has any."""

    account: directory.AccountRow
    orders: customers.CustomerOrders | None


@get("/")
async def list_customers(
    visitor: access.SignedIn,
    q: Search = "",
    show: FromQuery[str] = "all",
    after: Search = "",
) -> Response[str]:
    """Return a page of the list; `after` is the last name of the page before."""
    pagination.parse_choice("show", show, SHOWN)
    if "\0" in q + after:
        raise errors.ValidationFailed("/q", "invalid", "A name has no control characters.")
    found, is_more = await directory.search(q.strip(), show, after=after)
    orders = await customers.count_orders([one.id for one in found]) if found else {}
    page = rendering.render(
        "staff/customers.html",
        visitor=visitor,
        found=[ListedAccount(one, orders.get(one.id)) for one in found],
        is_more=is_more,
        text=q.strip(),
        show=show,
        shown=SHOWN,
        after=after,
    )
    return rendering.html_response(page)


def _new_page(
    visitor: access.Visitor, shown: account_form.ShownAccount, status: int = 200
) -> Response[str]:
    page = rendering.render(
        "staff/new-customer.html", visitor=visitor, shown=shown, roles=account_form.ROLES
    )
    return rendering.html_response(page, status)


@get("/new/")
async def show_new_customer(visitor: access.SignedIn) -> Response[str]:
    """Return the form for a new account."""
    return _new_page(visitor, account_form.ShownAccount())


@post("/new/")
async def add_customer(request: access.Call, visitor: access.SignedIn) -> Response[Any]:
    """Add an account, which is active at once. Its password is unknown: a link sets another one."""
    sent = await forms.read_own_fields(request, visitor)
    try:
        contact = account_form.read_contact(sent)
        flags = account_form.role_flags(contact.role, visitor.user)
        user = await users.create_user(
            contact.username,
            secrets.token_urlsafe(),
            email=contact.email,
            staff=flags["admin"],
            admin=flags["superuser"],
            by=visitor.user.id,
        )
    except (errors.ValidationFailed, errors.AccountExists) as refusal:
        return _new_page(visitor, account_form.refused(sent, refusal), refusal.status)
    return rendering.redirect(account_form.page_address(user.id, "added"))


router = access.router(
    "/staff/customers",
    [list_customers, show_new_customer, add_customer, *customer.HANDLERS],
    staff=True,
)
