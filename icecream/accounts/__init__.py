"""Users and signing in."""

from icecream.runtime import optional_imports

# PyJWT supports signatures with key pairs if `cryptography` is installed. Our tokens are signed
# with a secret (HS256). This saves a tenth of a second at the start, and some megabytes.
with optional_imports.hidden("cryptography"):
    import jwt

__all__ = ["jwt"]
