"""The catalogue over HTTP."""

import hashlib
from typing import Annotated

import msgspec
from litestar import Controller, Response, get, patch, post
from litestar.params import JSONBody, Parameter
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from icecream import errors
from icecream.accounts import http as accounts_http
from icecream.catalogue import flavors, inventory
from icecream.database import shared_reads
from icecream.http import bodies, etags, openapi
from icecream.idempotency import http as idempotency_http

ADD_REFUSALS = (
    errors.Forbidden("Only staff may set the price."),
    errors.NameTaken("There is already a flavor called Choclate."),
    errors.SkuTaken("Another flavor has the article number CHO-5L."),
)
STAFF_ONLY = errors.Forbidden(accounts_http.STAFF_ONLY)
INVALID_TAG = errors.ValidationFailed(
    "/If-Match", "malformed", 'If-Match must be entity tags in quotes, such as "3", or *.'
)
INSUFFICIENT_STOCK = errors.InsufficientStock(
    lines=[{"flavor": 2, "quantity": 50, "available": 40}]
)
# Clients may store the response, but must revalidate it each time.
CACHE_HEADERS = {"Cache-Control": "private, no-cache"}


async def _read_list(on_sale: bool) -> tuple[dict[str, str], bodies.JsonResponse]:
    """Return the list as a response, and its header fields."""
    body = msgspec.json.encode(await flavors.list_flavors(on_sale=on_sale))
    headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'} | CACHE_HEADERS
    return headers, bodies.JsonResponse(msgspec.Raw(body), headers)


_LISTS = shared_reads.SharedReads(_read_list)


def _tagged_response(found: tuple[flavors.FlavorView, int]) -> Response[flavors.FlavorView]:
    """Return a flavor with its tag; the tag ignores stock, which changes with every order."""
    view, version = found
    return Response(view, headers={"ETag": _tag(version)})


def _tag(version: int) -> str:
    return f'"{version}"'


class Flavors(Controller):
    """The handlers of the catalogue."""

    path = "/api/flavors"
    tags = ["Flavors"]

    @get(
        "/",
        **openapi.operation(
            "listFlavors",
            "List flavors",
            list[flavors.FlavorView],
            [flavors.EXAMPLE],
            errors.ValidationFailed("/archived", "invalid", "archived must be true or false."),
            errors.Forbidden("Only staff may see flavors that are not on sale."),
            kind=openapi.OperationWithETag,
            also=openapi.success(304, None),
        ),
    )
    async def list_flavors(
        self,
        request: bodies.ApiRequest,
        archived: Annotated[
            bool,
            Parameter(
                description="List the flavors that are not on sale: archived, or not in season. "
                "Only for staff."
            ),
        ] = False,
        if_none_match: etags.IfNoneMatch = None,
    ) -> ASGIApp:
        """List all flavors on sale with their stock, oldest first.

        The response has an `ETag`. If you send it as `If-None-Match`, the response is 304 until
        something changes.
        """
        if archived and not request.user.admin:
            raise errors.Forbidden("Only staff may see flavors that are not on sale.")
        headers, response = await _LISTS.read(not archived)
        if etags.is_unchanged(if_none_match, headers["ETag"]):
            return ASGIResponse(status_code=304, headers=headers)
        return response

    @post(
        "/add",
        opt=accounts_http.FOR_ORDERS,
        **openapi.operation(
            "addFlavor",
            "Add a flavor",
            flavors.FlavorView,
            flavors.EXAMPLE,
            *openapi.BODY_REFUSALS,
            *ADD_REFUSALS,
            *openapi.IDEMPOTENCY_KEY_REFUSALS,
            status=201,
        ),
    )
    async def add_flavor(
        self,
        request: bodies.ApiRequest,
        data: JSONBody[flavors.NewFlavor],
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> Response[flavors.FlavorView]:
        """Add a flavor. Only staff may set more than its name.

        Without a price, it gets the default price. Without a stock, its stock is not counted.
        """

        async def work() -> flavors.FlavorView:
            return await flavors.create_flavor(data, by=request.user)

        view, headers = await idempotency_http.answer_once(
            idempotency_key, request, work, flavors.FlavorView, body=data, status=201
        )
        return Response(view, headers=headers)

    @get(
        "/{flavor:int}",
        guards=[bodies.require_exact_ids],
        **openapi.operation(
            "getFlavor",
            "Get a flavor",
            flavors.FlavorView,
            flavors.EXAMPLE,
            errors.NotFound(),
            kind=openapi.OperationWithETag,
        ),
    )
    async def get_flavor(self, flavor: bodies.PathId) -> Response[flavors.FlavorView]:
        """Get one flavor, also an archived one. Its `ETag` changes with each edit.

        The `ETag` is for `If-Match`. It does not change with the stock, so there is no 304.
        """
        return _tagged_response(await flavors.get_flavor(flavor))

    @patch(
        "/{flavor:int}",
        opt=accounts_http.FOR_ORDERS,
        guards=[bodies.require_exact_ids, accounts_http.require_staff],
        **openapi.operation(
            "editFlavor",
            "Edit a flavor",
            flavors.FlavorView,
            flavors.EXAMPLE,
            errors.NotFound(),
            *openapi.BODY_REFUSALS,
            INVALID_TAG,
            STAFF_ONLY,
            errors.NameTaken("There is already a flavor called Choclate."),
            errors.SkuTaken("Another flavor has the article number CHO-5L."),
            errors.PreconditionFailed(),
            kind=openapi.OperationWithETag,
        ),
    )
    async def edit_flavor(
        self,
        request: bodies.ApiRequest,
        flavor: bodies.PathId,
        data: JSONBody[flavors.FlavorEdit],
        if_match: etags.IfMatch = None,
    ) -> Response[flavors.FlavorView]:
        """Change fields of a flavor. For staff. Existing orders keep their price.

        Send the flavor's `ETag` as `If-Match` to prevent lost updates: if the flavor was edited
        since, the response is 412.
        """

        def check(version: int) -> None:
            etags.require_match(if_match, _tag(version))

        edited = await flavors.edit_flavor(flavor, data, by=request.user.id, check=check)
        return _tagged_response(edited)

    @post(
        "/{flavor:int}/stock",
        opt=accounts_http.FOR_ORDERS,
        guards=[bodies.require_exact_ids, accounts_http.require_staff],
        **openapi.operation(
            "receiveStock",
            "Receive stock",
            flavors.FlavorView,
            flavors.EXAMPLE,
            errors.NotFound(),
            *openapi.BODY_REFUSALS,
            *openapi.IDEMPOTENCY_KEY_REFUSALS,
            STAFF_ONLY,
            INSUFFICIENT_STOCK,
        ),
    )
    async def receive_stock(
        self,
        request: bodies.ApiRequest,
        flavor: bodies.PathId,
        data: JSONBody[flavors.StockReceipt],
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> Response[flavors.FlavorView]:
        """Add a delivery to the stock of a flavor, or remove a loss with a negative `quantity`.

        For staff. If the stock was not counted before, counting starts now.
        """

        async def work() -> flavors.FlavorView:
            await inventory.receive_stock(
                flavor, data.quantity, reason=data.reason, by=request.user.id
            )
            return (await flavors.get_flavor(flavor))[0]

        view, headers = await idempotency_http.answer_once(
            idempotency_key, request, work, flavors.FlavorView, body=data
        )
        return Response(view, headers=headers)
