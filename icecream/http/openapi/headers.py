"""The header fields in the API document."""

from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIType,
    Schema,
)

from icecream import errors


def _text_header(description: str, example: str, pattern: str) -> OpenAPIHeader:
    schema = Schema(
        type=OpenAPIType.STRING,
        examples=[example],
        pattern=pattern,
        max_length=errors.MAX_TEXT_LENGTH,
    )
    return OpenAPIHeader(description=description, schema=schema)


_RETRY_AFTER = OpenAPIHeader(
    description="Seconds to wait.",
    schema=Schema(type=OpenAPIType.INTEGER, examples=[42], minimum=1, maximum=2**31 - 1),
)
_COUNT_SCHEMA = Schema(type=OpenAPIType.INTEGER, examples=[1207], minimum=0, maximum=2**63 - 1)
_TOTAL_COUNT = OpenAPIHeader(
    description="The number of all items, with `count=true`.", schema=_COUNT_SCHEMA
)
# The document marks these header fields with `x-on-each-success`, and names them only where they
# help most: for the limit, and for an error on our side.
ON_EACH_SUCCESS = ("X-Request-Id", "RateLimit-Policy")
# Linters want these for each response.
COMMON = {
    "Access-Control-Allow-Origin": _text_header(
        "Present for a page of an allowed origin.",
        "https://shop.example.org",
        r"^(\*$|[a-z-]+://)",
    ),
    "RateLimit": _text_header(
        "The remaining calls, and the seconds until the reset.",
        '"default";r=5999;t=60',
        r'^"[a-z-]+";r=\d+;t=\d+$',
    ),
}
BY_STATUS = {
    "401": {
        "WWW-Authenticate": _text_header("How to sign in.", 'Bearer realm="icecream"', "^Bearer ")
    },
    "429": {
        "Retry-After": _RETRY_AFTER,
        "RateLimit-Policy": _text_header(
            "The limit: quota, and window in seconds.",
            '"default";q=6000;w=60',
            r'^"[a-z-]+";q=\d+;w=\d+$',
        ),
    },
    "500": {
        "X-Request-Id": _text_header(
            "The id of this request in our logs.", "6b8a81ca2f68bbd6", "^[A-Za-z0-9-]+$"
        )
    },
    "503": {"Retry-After": _RETRY_AFTER},
}
# Further header fields of a response, by a parameter of its operation.
BY_PARAMETER = {
    "limit": {
        "Link": _text_header(
            "The next page (RFC 8288); absent on the last page.",
            '</api/orders?limit=100&after=eyJzb3J0Ij>; rel="next"',
            '^<.+>; rel="next"$',
        )
    },
    "count": {"X-Total-Count": _TOTAL_COUNT},
    "Idempotency-Key": {
        "Idempotent-Replayed": _text_header(
            "This is the stored response of an earlier request with the same key.", "true", "^true$"
        )
    },
    "Prefer": {
        "Preference-Applied": _text_header(
            "The time that the server waits at most.", "wait=10", "^wait=[0-9]+$"
        )
    },
}
AS_OF = _text_header(
    "The position of the last event in the figures, and its time; 0 before the first event. The "
    "position is the event's id in `GET /api/events/`: continue there with `after`.",
    '1042;at="2025-05-13T10:22:06.428877Z"',
    r'^\d+(;at="[0-9T:.-]+Z")?$',
)
ETAG = _text_header("The version (RFC 9110).", '"3"', '^"[!#-~]+"$')
