"""Forms of pages: their fields, the check that our own page sent them, and their problems."""

import hmac
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from icecream import conversion, errors, settings
from icecream.http import forms
from icecream.pages.access import Call, Visitor

T = TypeVar("T")
# The hidden field of every form.
CSRF_FIELD = "csrf"
# What browsers say of requests that no other page has sent.
OWN_SITES = ("same-origin", "none")


def require_own_page(request: Call) -> None:
    """Refuse a form that the page of another origin sends (older browsers send only `Origin`).

    Raises:
        errors.Forbidden: the browser says that another page sent the form.
    """
    site = request.headers.get("sec-fetch-site")
    if not (_is_own_origin(request) if site is None else site in OWN_SITES):
        raise errors.Forbidden("Another page sent this form.")


def _is_own_origin(request: Call) -> bool:
    """Return whether the form comes from the public URL, or from the address that it is sent to.

    In a local network, people also use other addresses than the public URL.
    """
    if (origin := request.headers.get("origin")) is None:
        return True
    own = urlsplit(settings.load().address)
    hosts = (own.netloc, request.headers.get("host"))
    return origin in [f"{own.scheme}://{host}" for host in hosts]


async def read_fields(request: Call, max_fields: int = forms.MAX_FIELDS) -> dict[str, Any]:
    """Return the fields of a form that any page of ours sends, also without a session.

    Raises:
        errors.Forbidden: the page of another origin sent it.
        errors.ValidationFailed: the body is no form.
    """
    require_own_page(request)
    return dict(forms.parse_urlencoded(await request.body(), max_fields))


async def read_form(request: Call, visitor: Visitor, kind: type[T]) -> T:
    """Return the fields of a form of this visitor's page; empty fields count as not given.

    Raises:
        errors.Forbidden: the CSRF token is missing or wrong.
        errors.ValidationFailed: a field is not valid.
    """
    return convert_fields(await read_own_fields(request, visitor), kind)


def convert_fields(values: Mapping[str, Any], kind: type[T]) -> T:
    """Return the fields of a form as a struct; empty fields count as not given.

    Raises:
        errors.ValidationFailed: a field is not valid.
    """
    return conversion.convert_body({name: value for name, value in values.items() if value}, kind)


async def read_own_fields(
    request: Call, visitor: Visitor, max_fields: int = forms.MAX_FIELDS
) -> dict[str, Any]:
    """Return the fields of a form of this visitor's page, without the CSRF token.

    Raises:
        errors.Forbidden: the CSRF token is missing or wrong.
    """
    values = await read_fields(request, max_fields)
    sent = str(values.pop(CSRF_FIELD, ""))
    if not hmac.compare_digest(sent.encode(), visitor.csrf.encode()):
        raise errors.Forbidden("This form is too old. Open the page again.")
    return values


def explain(detail: str, labels: Mapping[str, str]) -> str:
    """Return a message of the API with the labels of a form instead of the names of its fields."""
    # A name of one word could be another word, except at the beginning. People do not write null.
    text = re.sub(
        r"^[a-z]+\b|[a-z]+(_[a-z]+)+",
        lambda found: labels.get(found[0], found[0]),
        detail.replace(", or null", ""),
    )
    return text[:1].upper() + text[1:]


def field_problems(refusal: errors.Refusal, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the messages of a refusal by field; empty if a message is about no field of the form.

    `labels` has the labels of all fields by their names.
    """
    found = {
        str(one["pointer"]).removeprefix("/"): explain(str(one["detail"]), labels)
        for one in refusal.members.get("errors", ())
    }
    return found if found.keys() <= labels.keys() else {}
