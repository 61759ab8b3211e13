"""The catalogue over HTTP."""

import hashlib
from typing import Annotated

from litestar import Controller, Response, get, patch, post
from litestar.params import JSONBody, Parameter
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from icecream import errors
from icecream.accounts import http as accounts_http
from icecream.catalogue import flavors, inventory
from icecream.http import bodies, etags, middleware, openapi
from icecream.idempotency import http as idempotency_http

ADD_REFUSALS = (
    errors.Forbidden("Only staff may set the price."),
    errors.NameTaken("There is already a flavor called Choclate."),
)
FLAVOR_REFUSALS = (*openapi.CALL, errors.NotFound())
STAFF_ONLY = errors.Forbidden("This is for staff.")
INVALID_TAG = errors.ValidationFailed(
    "/If-Match", "malformed", 'If-Match must be entity tags such as "3", in their quotes, or *.'
)
INSUFFICIENT_STOCK = errors.InsufficientStock(
    lines=[{"flavor": 2, "quantity": 50, "available": 40}]
)
# Clients may keep the answer, but must revalidate it each time.
CACHE_HEADERS = {"Cache-Control": "private, no-cache"}


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
        operation_class=openapi.Tagged,
        operation_id="listFlavors",
        summary="List flavors",
        responses=openapi.or_unchanged(
            openapi.answers(
                200,
                list[flavors.FlavorView],
                [flavors.EXAMPLE],
                *openapi.CALL,
                errors.ValidationFailed("/archived", "invalid", "archived must be true or false."),
                errors.Forbidden("Only staff may see what is no longer sold."),
            )
        ),
    )
    async def all(
        self,
        request: bodies.AnyBody,
        archived: Annotated[
            bool, Parameter(description="For staff: what is no longer sold, instead.")
        ] = False,
        if_none_match: etags.IfNoneMatch = None,
    ) -> ASGIApp:
        """Everything that can be ordered, and how much is left of it; oldest first.

        The answer has an `ETag`: sent as `If-None-Match`, it is 304 as long as all is the same.
        """
        if archived and not request.user.admin:
            raise errors.Forbidden("Only staff may see what is no longer sold.")
        answer = bodies.Json(await flavors.list_flavors(archived=archived))
        headers = {"ETag": f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'} | CACHE_HEADERS
        if etags.unchanged(if_none_match, headers["ETag"]):
            return ASGIResponse(status_code=304, headers=headers)
        answer.headers += middleware.encoded(headers)
        return answer

    @post(
        "/add",
        operation_class=openapi.ApiOperation,
        operation_id="addFlavor",
        summary="Add a flavor",
        responses=openapi.answers(
            201,
            flavors.FlavorView,
            flavors.EXAMPLE,
            *openapi.CALL,
            *openapi.BODY,
            *ADD_REFUSALS,
            *openapi.KEY,
        ),
    )
    async def add(
        self,
        request: bodies.AnyBody,
        data: JSONBody[flavors.NewFlavor],
        idempotency_key: openapi.IdempotencyKey = None,
    ) -> Response[flavors.FlavorView]:
        """Add a flavor by name. Only staff may say more of it.

        Without a price it gets the default one, without a stock it is not counted. With an
        `Idempotency-Key` a request that comes again is answered again, for 7 days.
        """

        async def work() -> flavors.FlavorView:
            return await flavors.create_flavor(data, by=request.user)

        view, headers = await idempotency_http.run_once(
            idempotency_key, request, work, flavors.FlavorView, body=data, status=201
        )
        return Response(view, headers=headers)

    @get(
        "/{flavor:int}",
        guards=[bodies.exact_ids],
        operation_class=openapi.Tagged,
        operation_id="getFlavor",
        summary="See a flavor",
        responses=openapi.answers(200, flavors.FlavorView, flavors.EXAMPLE, *FLAVOR_REFUSALS),
    )
    async def one(self, flavor: bodies.PathId) -> Response[flavors.FlavorView]:
        """One flavor, also when it is no longer sold. Its `ETag` changes when it is edited.

        It does not when stock moves: it is for `If-Match`, and there is no 304.
        """
        return _tagged_response(await flavors.get_flavor(flavor))

    @patch(
        "/{flavor:int}",
        guards=[bodies.exact_ids, accounts_http.staff_only],
        operation_class=openapi.Tagged,
        operation_id="editFlavor",
        summary="Edit a flavor",
        responses=openapi.answers(
            200,
            flavors.FlavorView,
            flavors.EXAMPLE,
            *FLAVOR_REFUSALS,
            *openapi.BODY,
            INVALID_TAG,
            STAFF_ONLY,
            errors.NameTaken("There is already a flavor called Choclate."),
            errors.PreconditionFailed(),
        ),
    )
    async def edit(
        self,
        flavor: bodies.PathId,
        data: JSONBody[flavors.FlavorEdit],
        if_match: etags.IfMatch = None,
    ) -> Response[flavors.FlavorView]:
        """Change some of a flavor; for staff. Orders keep the price at which they were placed.

        With the `ETag` that was seen as `If-Match`, two who edit at once do not undo each
        other's work: the second gets 412.
        """

        def check(version: int) -> None:
            etags.require(if_match, _tag(version))

        return _tagged_response(await flavors.edit_flavor(flavor, data, check=check))

    @post(
        "/{flavor:int}/stock",
        status_code=200,
        guards=[bodies.exact_ids, accounts_http.staff_only],
        operation_class=openapi.ApiOperation,
        operation_id="receiveStock",
        summary="Receive stock",
        responses=openapi.answers(
            200,
            flavors.FlavorView,
            flavors.EXAMPLE,
            *FLAVOR_REFUSALS,
            *openapi.BODY,
            *openapi.KEY,
            STAFF_ONLY,
            INSUFFICIENT_STOCK,
        ),
    )
    async def receive(
        self,
        request: bodies.AnyBody,
        flavor: bodies.PathId,
        data: JSONBody[flavors.StockReceipt],
        idempotency_key: openapi.IdempotencyKey = None,
    ) -> Response[flavors.FlavorView]:
        """Add a delivery to what is left, or with a negative `quantity` a loss; for staff.

        A flavor that was not counted is from now on. With an `Idempotency-Key` a request that
        comes again is answered again, for 7 days, and nothing is added twice.
        """

        async def work() -> flavors.FlavorView:
            await inventory.receive_stock(
                flavor, data.quantity, reason=data.reason, by=request.user.id
            )
            return (await flavors.get_flavor(flavor))[0]

        view, headers = await idempotency_http.run_once(
            idempotency_key, request, work, flavors.FlavorView, body=data
        )
        return Response(view, headers=headers)
