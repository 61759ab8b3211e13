"""Query parameters are checked like bodies: only declared ones are allowed, each once."""

from functools import cache
from typing import Any, NamedTuple

from litestar import Request
from litestar.enums import ParamType
from litestar.handlers import BaseRouteHandler

from icecream import constraints, errors


class Parameter(NamedTuple):
    """A parameter as a handler declares it; `several` means that it may be repeated."""

    field: str
    kind: Any
    several: bool

    @property
    def takes_null_word(self) -> bool:
        """Whether the word "null" would count as no value."""
        return not self.several and constraints.takes_null_word(self.kind)

    @property
    def allowed(self) -> str:
        """The description of the allowed values; null cannot be sent, only omitted."""
        return constraints.of(self.kind).removesuffix(", or null")


async def only_declared(request: Request[Any, Any, Any]) -> None:
    """Before each request: refuse undeclared parameters, unless the handler has `any_query`.

    That option is for pages without data, and for handlers called by programs that add parameters
    to a URL on their own, such as health checks. (As a guard, this would cost every request a copy
    of its handler.)
    """
    # Nearly all calls have no query, and must not pay for this.
    if request.scope["query_string"] and not request.route_handler.opt.get("any_query"):
        check(request)


def check(request: Request[Any, Any, Any]) -> None:
    """Refuse a parameter that the handler does not declare, or takes only once.

    Raises:
        errors.UnknownParameter: it is not declared.
        errors.ValidationFailed: it is repeated, or "null" where a number belongs.
    """
    known = declared(request.route_handler)
    for name, values in request.query_params.dict().items():
        if name not in known:
            raise errors.UnknownParameter(name, constraints.meant(name, known))
        if len(values) > 1 and not known[name].several:
            detail = f"{name} must be given once, not {len(values)} times."
            raise errors.ValidationFailed(f"/{name}", "repeated", detail)
        # msgspec would read the word as no value.
        if values[0].lower() == "null" and known[name].takes_null_word:
            raise unfit(request.route_handler, name)


@cache
def declared(handler: BaseRouteHandler) -> dict[str, Parameter]:
    """Return the parameters of a handler and its dependencies, by the names in the query."""
    kinds = _kinds(handler)
    return {
        one.field_alias: Parameter(one.field_name, kinds[one.field_name], one.is_sequence)
        for one in handler.create_kwargs_model({}).expected_query_params
        if one.param_type == ParamType.QUERY
    }


def _kinds(handler: BaseRouteHandler) -> dict[str, Any]:
    models = [one.signature_model for one in handler.resolve_dependencies().values()]
    kinds: dict[str, Any] = {}
    for model in (*models, handler.signature_model):
        kinds |= model.__annotations__
    return kinds


def unfit(handler: BaseRouteHandler, field: str) -> errors.ValidationFailed:
    """Return the error for a query or path parameter with a bad value, by its name or field."""
    known = declared(handler)
    name = next((name for name, one in known.items() if field in (name, one.field)), field)
    one = known.get(name) or Parameter(field, _kinds(handler).get(field), False)
    return errors.ValidationFailed(f"/{name}", "invalid", f"{name} must be {one.allowed}.")
