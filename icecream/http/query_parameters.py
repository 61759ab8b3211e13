"""Query parameters are checked like bodies: only declared ones are allowed, each once."""

from functools import cache
from typing import Any, NamedTuple

from litestar import Request
from litestar.enums import ParamType
from litestar.handlers import BaseRouteHandler

from icecream import constraints, errors


class DeclaredParameter(NamedTuple):
    """A parameter as a handler declares it; `is_repeatable` means that it may be repeated."""

    field: str
    kind: Any
    is_repeatable: bool

    def is_misread(self, value: str) -> bool:
        """Return whether this value would count as another one, such as "null" as no value."""
        return not self.is_repeatable and constraints.is_misread(self.kind, value)

    @property
    def allowed(self) -> str:
        """The description of the allowed values; null cannot be sent, only omitted."""
        return constraints.describe_type(self.kind).removesuffix(", or null")


async def refuse_undeclared(request: Request[Any, Any, Any]) -> None:
    """Before each request: refuse undeclared parameters, unless the handler has `any_query`.

    That option is for pages without data, and for handlers that are called by programs that add
    parameters to a URL, such as health checks. (As a guard, this would cost every request a copy
    of its handler.)
    """
    # Nearly all calls have no query, and must not pay for this.
    if request.scope["query_string"] and not request.route_handler.opt.get("any_query"):
        check_parameters(request)


def check_parameters(request: Request[Any, Any, Any]) -> None:
    """Refuse a parameter that the handler does not declare, or takes only once.

    Raises:
        errors.UnknownParameter: it is not declared.
        errors.ValidationFailed: it is repeated, or "null" instead of a number.
    """
    known = declared_parameters(request.route_handler)
    for name, values in request.query_params.dict().items():
        if name not in known:
            raise errors.UnknownParameter(name, constraints.suggest_name(name, known))
        if len(values) > 1 and not known[name].is_repeatable:
            detail = f"{name} must be sent once, not {len(values)} times."
            raise errors.ValidationFailed(f"/{name}", "repeated", detail)
        if known[name].is_misread(values[0]):
            raise invalid_parameter(request.route_handler, name)


@cache
def declared_parameters(handler: BaseRouteHandler) -> dict[str, DeclaredParameter]:
    """Return the parameters of a handler and its dependencies, by the names in the query."""
    kinds = _parameter_types(handler)
    return {
        definition.field_alias: DeclaredParameter(
            definition.field_name, kinds[definition.field_name], definition.is_sequence
        )
        for definition in handler.create_kwargs_model({}).expected_query_params
        if definition.param_type == ParamType.QUERY
    }


def _parameter_types(handler: BaseRouteHandler) -> dict[str, Any]:
    models = [dependency.signature_model for dependency in handler.resolve_dependencies().values()]
    kinds: dict[str, Any] = {}
    for model in (*models, handler.signature_model):
        kinds |= model.__annotations__
    return kinds


def invalid_parameter(handler: BaseRouteHandler, field: str) -> errors.ValidationFailed:
    """Return the error for a query or path parameter with a bad value, by its name or field."""
    known = declared_parameters(handler)
    names = (name for name, parameter in known.items() if field in (name, parameter.field))
    name = next(names, field)
    kind = _parameter_types(handler).get(field)
    parameter = known.get(name) or DeclaredParameter(field, kind, is_repeatable=False)
    return errors.ValidationFailed(f"/{name}", "invalid", f"{name} must be {parameter.allowed}.")
