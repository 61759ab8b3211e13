"""The tables that the admin lists: their columns, and the calls of Piccolo that are refused."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pydantic
from piccolo.columns import JSON, Column, ForeignKey
from piccolo.table import Table
from piccolo_admin.endpoints import TableConfig
from piccolo_api.crud.endpoints import OrderBy, PiccoloCRUD
from piccolo_api.crud.hooks import Hook, HookType
from piccolo_api.crud.validators import Validators, apply_validators
from starlette.exceptions import HTTPException
from starlette.requests import Request as PiccoloRequest
from starlette.responses import JSONResponse, Response

from icecream import tables
from icecream.admin import amounts, rules

MAX_BY_PARAMETER = {"limit": 1000, "offset": 10**9, "__page_size": 1000, "__page": 10**6}
# SQLite refuses longer patterns; no column that can be searched needs them.
MAX_VALUE_LENGTH = 10_000
# The pages need two for each table; only scripts ask for other columns.
MAX_MODELS = 100
SECRET_COLUMNS = {
    column._meta.name
    for table in tables.APP_CONFIG.table_classes
    for column in table._meta.secret_columns
}
# Staff change these; all other tables are read-only in the admin.
EDITABLE = frozenset({tables.User._meta.tablename, tables.Flavor._meta.tablename})
READ_ONLY = "Only the service writes this table. It is read-only in the admin."
NO_DELETION = "Orders refer to {}, so they cannot be deleted or replaced; {} instead."
WRITE_CALLS = ("post_single", "patch_single", "put_single", "delete_single", "delete_all")


def _check_types(piccolo_crud: PiccoloCRUD, data: dict[str, Any]) -> dict[str, Any]:
    """Refuse true and false as numbers, parse amounts, and keep "null", which may be a name.

    Piccolo would convert the first to 1 and 0, and the last to null.
    """
    for column in piccolo_crud.table._meta.columns:
        name = column._meta.name
        if column.value_type is int and isinstance(data.get(name), bool):
            raise HTTPException(400, f"{name} must be a whole number.")
        if name in data and name in amounts.COLUMN_NAMES:
            data = data | {name: amounts.parse_value(column, data[name])}
    return data


_post_row: Callable[..., Awaitable[Response]] = PiccoloCRUD.post_single


# Piccolo finds the validators by the name of the function.
@apply_validators  # type: ignore[untyped-decorator]  # Piccolo's
async def post_single(
    piccolo_crud: PiccoloCRUD, request: PiccoloRequest, data: dict[str, Any]
) -> Response:
    """Add a row. For an account, Piccolo would answer with the text of any exception."""
    if piccolo_crud.table is not rules.Account:
        return await _post_row(piccolo_crud, request, data)
    try:
        model = piccolo_crud.pydantic_model(**piccolo_crud._clean_data(data))
    except pydantic.ValidationError as error:
        return Response(str(error), status_code=400)
    user = await rules.Account.create_user(**model.model_dump())
    return JSONResponse({"id": user.id}, status_code=201)


_build_list_model = PiccoloCRUD.pydantic_model_plural
_build_filter_model: Any = PiccoloCRUD.pydantic_model_filters
_models: dict[object, type[pydantic.BaseModel]] = {}


def _remembered(
    key: object, build: Callable[[], type[pydantic.BaseModel]]
) -> type[pydantic.BaseModel]:
    """Return the model with this key. Piccolo builds it for each request, in 10 ms."""
    if key not in _models:
        if len(_models) >= MAX_MODELS:
            _models.clear()
        _models[key] = build()
    return _models[key]


def list_model(
    piccolo_crud: PiccoloCRUD,
    include_readable: bool = False,
    include_columns: tuple[Column, ...] = (),
    nested: bool | tuple[ForeignKey[Any], ...] = False,
) -> type[pydantic.BaseModel]:
    """Return the model of the rows of a list."""
    # Columns of referenced rows are refused, so the names are those of this table.
    names = tuple(column._meta.name for column in include_columns)
    return _remembered(
        (piccolo_crud.table, include_readable, names, bool(nested)),
        partial(_build_list_model, piccolo_crud, include_readable, include_columns, nested),
    )


def filter_model(piccolo_crud: PiccoloCRUD) -> type[pydantic.BaseModel]:
    """Return the model of the filters of a list."""
    return _remembered(piccolo_crud.table, partial(_build_filter_model.fget, piccolo_crud))


# Piccolo has no settings for these.
PiccoloCRUD.pydantic_model_plural = list_model  # type: ignore[assignment,method-assign]  # on purpose
PiccoloCRUD.pydantic_model_filters = property(filter_model)  # type: ignore[assignment,method-assign]  # on purpose
PiccoloCRUD._clean_data = _check_types  # type: ignore[assignment,method-assign]  # replaced on purpose
PiccoloCRUD.post_single = post_single  # type: ignore[method-assign]  # replaced on purpose


def remember_caller(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
    """Remember who calls: Piccolo does not say it to all of our rules."""
    rules.caller.set(request.user.user)


def check_parameters(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
    """Refuse parameters that Piccolo treats as "all rows", such as a page of -1 rows."""
    for name, largest in MAX_BY_PARAMETER.items():
        values = request.query_params.getlist(name)
        if len(values) > 1 or not all(
            n.isascii() and n.isdigit() and int(n) <= largest for n in values
        ):
            raise HTTPException(400, f"{name} must be a whole number up to {largest}.")
    if not request.query_params.get("__range_header_name", "x").isalnum():
        raise HTTPException(400, "__range_header_name may contain only letters and digits.")
    _refuse_secret_columns(request)
    if any(len(value) > MAX_VALUE_LENGTH for value in request.query_params.values()):
        raise HTTPException(400, f"A value may have at most {MAX_VALUE_LENGTH} characters.")


def _refuse_secret_columns(request: PiccoloRequest) -> None:
    """Refuse to filter and to sort by a secret column, also of a referenced table.

    The order of the rows, or their number, would reveal its values.
    """
    named = [name.removesuffix("[]").split("__")[0] for name in request.query_params]
    for instruction in ("__order", "__visible_fields"):
        for value in request.query_params.getlist(instruction):
            named += [name.strip().removeprefix("-") for name in value.split(",")]
    for name in named:
        if SECRET_COLUMNS & set(name.split(".")):
            raise HTTPException(400, f"{name} is secret.")


def require_limit(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
    """Refuse to list the names of all rows at once."""
    if "limit" not in request.query_params:
        raise HTTPException(400, "limit is required.")


def _refuse_calls(calls: tuple[str, ...], reason: str) -> Validators:
    def refuse(piccolo_crud: PiccoloCRUD, request: PiccoloRequest) -> None:
        raise HTTPException(405, reason)

    refused: dict[str, Any] = {call: [refuse] for call in calls}
    return Validators(every=[remember_caller, check_parameters], get_ids=[require_limit], **refused)


def _table_config(
    group: str, table: type[Table], names: str, *, by: str = "-id", **options: Any
) -> TableConfig:
    """Return the configuration of a read-only table, with filters for its visible columns."""
    amounts.show_columns(table)
    columns = [table._meta.get_column_by_name(name) for name in names.split()]
    first = table._meta.get_column_by_name(by.lstrip("-"))
    return TableConfig(
        table,
        visible_columns=columns,
        visible_filters=[column for column in columns if not isinstance(column, JSON)],
        order_by=[OrderBy(first, ascending=not by.startswith("-"))],
        menu_group=group,
        **{"validators": _refuse_calls(WRITE_CALLS, READ_ONLY)} | options,
    )


def table_configs() -> list[TableConfig]:
    user_options: dict[str, Any] = {
        "link_column": rules.Account.username,
        "validators": _refuse_calls(
            WRITE_CALLS[2:], NO_DELETION.format("users", "deactivate the user")
        ),
        "hooks": [Hook(HookType.pre_patch, rules.edit_user)],
    }
    flavor_options: dict[str, Any] = {
        "validators": _refuse_calls(
            WRITE_CALLS[2:], NO_DELETION.format("flavors", "archive the flavor")
        ),
        "hooks": [
            Hook(HookType.pre_save, rules.add_flavor),
            Hook(HookType.pre_patch, rules.edit_flavor),
        ],
    }
    users = "username email active admin superuser"
    flavors = "id name price stock archived version"
    order = "id user status fulfilment total refunded currency created_at reference delivery_date"
    payment = "id order kind n state amount moved last_error tries first_sent_at provider_ref"
    sums = "status quantity orders revenue refunded"
    return [
        _table_config("Accounts", rules.Account, users, by="username", **user_options),
        _table_config("Catalogue", tables.Flavor, flavors, by="name", **flavor_options),
        _table_config("Catalogue", tables.StockMove, "id flavor quantity why by at"),
        _table_config("Accounts", tables.Change, "id at by subject row field before after"),
        _table_config("Orders", tables.Order, order),
        _table_config("Orders", tables.OrderLine, "id order flavor quantity unit_price refunded"),
        _table_config("Orders", tables.Event, "id order seq type payload by at"),
        _table_config("Orders", tables.IdempotencyKey, "id user key order status created_at"),
        _table_config("Money", tables.Payment, payment),
        _table_config("Money", tables.RefundLine, "id payment line quantity restocked"),
        _table_config("Money", tables.Job, "id kind subject run_at tries"),
        _table_config(
            "Money", tables.Notice, "id provider event key reference received_at applied_at"
        ),
        _table_config("Totals", tables.FlavorTotal, f"id flavor {sums}"),
        _table_config("Totals", tables.FlavorDay, f"id flavor day local_day {sums}", by="-day"),
        _table_config("Totals", tables.CustomerDay, f"id user day local_day {sums}", by="-day"),
        _table_config("Totals", tables.DayTotal, f"id day local_day {sums}", by="-day"),
    ]
