"""API keys over HTTP: create, list and revoke."""

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Controller, delete, get, post
from litestar.params import JSONBody, Parameter
from litestar.types import ASGIApp
from msgspec import Meta, Struct
from msgspec.structs import asdict

from icecream import constraints, errors, fields
from icecream.accounts import api_keys, http, tokens
from icecream.http import bodies, openapi, pagination
from icecream.tables import ApiKey

ADMIN_ONLY = "Only admins may create keys for other accounts."
EXAMPLE = {
    "id": 3,
    "user": 7,
    "name": "Web shop",
    "prefix": "ice_3f9a1c0b7d2e",
    "scopes": ["order"],
    "created_at": "2025-05-13T10:22:06.428877Z",
    "expires_at": "2027-01-01T00:00:00Z",
    "last_used_at": "2025-05-14T08:00:01.000412Z",
}
EXAMPLE_KEY = "ice_3f9a1c0b7d2e_" + 12 * "0a1b"
# The words are checked in NewKey, with a better message.
KeyScope = Annotated[str, fields.words("KeyScope", api_keys.SCOPES)]

Expiry = Annotated[
    datetime,
    Meta(
        tz=True,
        description="Without it, the key does not expire.",
        extra_json_schema={"maxLength": 35},
    ),
]
Account = Annotated[
    int,
    Meta(ge=1, le=tokens.MAX_USER_ID, description="For admins: the account; by default your own."),
]


class NewKey(fields.Body):
    """A new API key.

    The scope `read` allows GET requests; `order` also allows to place, cancel and pay orders. A key
    of staff acts as staff with the scope `staff`, and as a customer without it.
    """

    name: Annotated[
        str, fields.one_line(100, description="What the key is for.", examples=["Web shop"])
    ]
    scopes: Annotated[
        list[KeyScope],
        Meta(min_length=1, max_length=len(api_keys.SCOPES), examples=[["order"]]),
    ]
    expires_at: Expiry | None = None
    user: Account | None = None

    def __post_init__(self) -> None:
        self.name = fields.strip_text("name", self.name)
        if self.expires_at is not None:
            self.expires_at = _in_utc(self.expires_at)
        if not set(self.scopes) <= set(api_keys.SCOPES):
            choice = constraints.describe_choice(api_keys.SCOPES)
            raise constraints.InvalidValue("scopes", f"must each be {choice}")


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        problem = "must be a time in the years 1 to 9999"
        raise constraints.InvalidValue("expires_at", problem) from None


class KeyView(Struct):
    """An API key, without its secret; `prefix` is its beginning."""

    id: fields.Id
    user: Annotated[int, Meta(ge=1, le=tokens.MAX_USER_ID)]
    name: fields.Name
    prefix: Annotated[str, Meta(max_length=16, pattern="^ice_[0-9a-f]{12}$")]
    scopes: Annotated[list[KeyScope], Meta(max_length=len(api_keys.SCOPES))]
    created_at: fields.Timestamp
    expires_at: fields.Timestamp | None
    last_used_at: Annotated[
        fields.Timestamp | None, Meta(description="Written at most once in a minute.")
    ]


class CreatedKey(KeyView):
    """A new API key. Store `key` now: it is not shown again."""

    key: Annotated[str, Meta(max_length=65, pattern="^ice_[0-9a-f]{12}_[0-9a-f]{48}$")]


def _view(row: dict[str, Any]) -> KeyView:
    return KeyView(**api_keys.as_shown(row))


class ApiKeys(Controller):
    """The handlers of API keys."""

    path = "/api/keys"
    tags = ["Your account"]
    # A stolen key must not lead to another one.
    opt = http.NOT_FOR_KEYS

    @post(
        "/",
        **openapi.operation(
            "createKey",
            "Create an API key",
            CreatedKey,
            EXAMPLE | {"key": EXAMPLE_KEY},
            *openapi.BODY_REFUSALS,
            errors.ValidationFailed("/scopes", "invalid", api_keys.NO_ACCESS),
            errors.Forbidden(ADMIN_ONLY),
            errors.NotFound("There is no such active account."),
            errors.TooManyApiKeys(),
            status=201,
        ),
    )
    async def create_key(self, request: bodies.ApiRequest, data: JSONBody[NewKey]) -> CreatedKey:
        """Create a key for a program: `Authorization: Bearer ice_...`.

        It has the rights of your account within its scopes, also after a new password, until it is
        revoked, it expires or the account is disabled. A key cannot create keys.
        """
        caller = request.user
        user = data.user or caller.id
        if user != caller.id and not (caller.admin and caller.superuser):
            raise errors.Forbidden(ADMIN_ONLY)
        row, key = await api_keys.create_key(
            user, data.name, data.scopes, expires_at=data.expires_at, by=caller.id
        )
        return CreatedKey(**asdict(_view(row)), key=key)

    @get(
        "/",
        **openapi.operation(
            "listKeys", "List API keys", list[KeyView], [EXAMPLE], pagination.INVALID_CURSOR
        ),
    )
    async def list_keys(
        self,
        request: bodies.ApiRequest,
        user: Annotated[
            str | None,
            Parameter(
                schema_extra=http.USER_SCHEMA,
                description="For staff: the keys of this user id, or of `all` users.",
            ),
        ] = None,
        limit: pagination.Limit = None,
        after: pagination.After = None,
    ) -> ASGIApp:
        """List your API keys that are not revoked, oldest first."""
        owner = http.parse_user(user, request.user, of="keys")

        async def read(start: pagination.Cursor | None, most: int) -> pagination.Page:
            query = ApiKey.select(*api_keys.COLUMNS).where(
                api_keys.NOT_REVOKED, ApiKey.id > (start.id if start else 0)
            )
            if owner is not None:
                query = query.where(ApiKey.user == owner)
            rows = await query.order_by(ApiKey.id).limit(most + 1)
            return pagination.encode_page([_view(row) for row in rows], most)

        return await pagination.list_response(request, read, limit=limit, after=after)

    @delete(
        "/{api_key:int}",
        guards=[bodies.require_exact_ids],
        **openapi.operation(
            "revokeKey", "Revoke an API key", None, None, errors.NotFound(), status=204
        ),
    )
    async def revoke_key(self, request: bodies.ApiRequest, api_key: bodies.PathId) -> None:
        """Revoke a key; staff may revoke any. It ends within a second."""
        caller = request.user
        await api_keys.revoke_key(api_key, user=None if caller.admin else caller.id, by=caller.id)
