"""The page where a user with a password link sets a new password."""

from litestar import Response, Router, get, post

from icecream import errors
from icecream.accounts import password_links
from icecream.http import rate_limits
from icecream.pages import access, forms, rendering

TEMPLATE = "pages/set-password.html"
# Instead of a name, which is not known yet: attempts with any link count together.
RATE_LIMIT_NAME = "password link"


# Older links, or previews of them, may add a query.
@get(password_links.PATH, any_query=True, sync_to_thread=False)
def show_form() -> Response[str]:
    """Return the page; a browser keeps the token of the link, the part after `#`, to itself."""
    return rendering.html_response(rendering.render(TEMPLATE, code="", error="", name=""))


@post(password_links.PATH)
async def set_password(request: access.Call) -> Response[str]:
    """Set the password, and say how to sign in."""
    fields = await forms.read_fields(request)
    # A link that was copied as a whole is accepted too.
    token = str(fields.get("token", "")).strip().rpartition("#")[2]
    rate_limits.log_address(request.scope)
    status, name, error, headers = 200, "", "", {}
    try:
        await rate_limits.begin_login(RATE_LIMIT_NAME, request.scope)
        name = await password_links.use_link(token, str(fields.get("password", "")))
        await rate_limits.end_login(RATE_LIMIT_NAME, request.scope)
    except ValueError as problem:
        status, error = 400, str(problem)
    except (errors.PasswordLinkInvalid, errors.QuotaExceeded, errors.Unavailable) as refusal:
        status, error, headers = refusal.status, refusal.detail, refusal.headers
    page = rendering.render(TEMPLATE, code=token, error=error, name=name)
    response = rendering.html_response(page, status)
    response.headers.update(headers)
    return response


router = Router(
    "/",
    route_handlers=[show_form, set_password],
    exception_handlers={Exception: access.error_page},
    include_in_schema=False,
    opt={"exclude_from_auth": True},
)
