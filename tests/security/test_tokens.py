"""Test that no forged, foreign or ended token opens a protected route."""

import base64
import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import msgspec
import pytest

from icecream import settings
from icecream.accounts import refresh_tokens, tokens, users
from icecream.http import rate_limits
from icecream.settings import signing_keys
from icecream.tables import RefreshToken, User
from tests.conftest import Caller, new_user
from tests.security import matrix
from tests.security.calls import call

pytestmark = pytest.mark.anyio
PROTECTED = [
    line
    for line in matrix.read_lines()
    if line.path.startswith("/api/") and line.anonymous == 401 and line.customer != 401
]
UNKNOWN_KEY = "x" * 40
# A public key: a library that confuses the kinds of keys would use it as an HMAC secret.
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
# The family of an access token is in the database. A refresh token has none.
WRONG_FAMILIES: tuple[Any, ...] = ("other", "0" * 32, 1, ["x"], {}, True, "\0", "\ud800", "x" * 500)
WEAK_KEYS = ("", "secret", "icecream", "changeme", "0" * 32)
CHALLENGE = (
    'Bearer realm="icecream", error="invalid_token", '
    'error_description="The access token is not valid"'
)


def encode(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


class Forger:
    """Makes tokens from a valid one; it even has our key, unless it is given another."""

    def __init__(self, access: str) -> None:
        self.access = access
        self.claims = jwt.decode(access, options={"verify_signature": False})
        self.head, self.body, self.signature = access.split(".")
        (self.key, *_) = signing_keys.load_keys(settings.load())

    def sign(self, changes: dict[str, Any], key: str = "", **options: Any) -> str:
        claims = {k: v for k, v in (self.claims | changes).items() if v is not None}
        return self.sign_payload(json.dumps(claims).encode(), key, **options)

    def sign_payload(self, payload: bytes, key: str = "", **options: Any) -> str:
        """Sign any bytes, also those that are no claims."""
        options.setdefault("algorithm", "HS256")
        return jwt.api_jws.encode(payload, key or self.key, **options)

    def with_head(self, head: Any) -> str:
        """Return the valid claims and signature under another head."""
        return f"{encode(head)}.{self.body}.{self.signature}"

    def forged(self) -> dict[str, str]:
        """Return the tokens by what is wrong with them."""
        return {
            **self._wrong_algorithms(),
            **self._wrong_keys(),
            **self._damaged(),
            **self._wrong_times(),
            **self._wrong_claims(),
        }

    def _wrong_algorithms(self) -> dict[str, str]:
        found = {
            f"alg {alg!r}, {kind}": f"{encode({'alg': alg, 'typ': 'JWT'})}.{self.body}.{signature}"
            for alg in ("none", "None", "NONE", "nOnE", "", None, 0, ["HS256"], "HS256 ", "hs256")
            for kind, signature in (("unsigned", ""), ("signed", self.signature))
        }
        found |= {f"alg {alg}": self.with_head({"alg": alg}) for alg in ("RS256", "ES256", "EdDSA")}
        found |= {
            f"signed with {alg}": self.sign({}, self.key * 2, algorithm=alg)
            for alg in ("HS384", "HS512")
        }
        return found | {
            "no alg": self.with_head({"typ": "JWT"}),
            "head is a list": self.with_head([]),
        }

    def _wrong_keys(self) -> dict[str, str]:
        unknown: dict[str, dict[str, Any]] = {
            "kid with a path": {"kid": "../../dev/null"},
            "kid with SQL": {"kid": "x' UNION SELECT 'x"},
            "jku": {"jku": "https://attacker.example/keys"},
            "x5u": {"x5u": "https://attacker.example/cert"},
            "jwk": {"jwk": {"kty": "oct", "k": encode(UNKNOWN_KEY.encode())}},
            "crit": {"crit": ["exp"]},
        }
        found = {name: self.sign({}, UNKNOWN_KEY, headers=one) for name, one in unknown.items()}
        found |= {f"weak key {key!r}": self._sign_weakly(key) for key in WEAK_KEYS}
        found["public key as secret"] = self._sign_weakly(PUBLIC_KEY)
        found["other key"] = self.sign({}, UNKNOWN_KEY)
        return found | {"expired, of another key": self.sign({"exp": 1}, UNKNOWN_KEY)}

    def _sign_weakly(self, key: str) -> str:
        """Sign with a key that PyJWT refuses to use."""
        signed = f"{self.head}.{self.body}".encode()
        algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        return f"{signed.decode()}.{encode(algorithm.sign(signed, key.encode()))}"

    def _damaged(self) -> dict[str, str]:
        head, body, signature = self.head, self.body, self.signature
        changed = {**self.claims, "sub": "1"}
        return {
            "no signature": f"{head}.{body}.",
            "cut signature": f"{head}.{body}.{signature[:-4]}",
            "long signature": f"{head}.{body}.{signature}AAAA",
            "changed user": f"{head}.{encode(changed)}.{signature}",
            "changed end of the body": f"{head}.{body[:-2]}AA.{signature}",
            "parts exchanged": f"{body}.{head}.{signature}",
            "two parts": f"{head}.{body}",
            "four parts": f"{self.access}.{signature}",
            "five parts": f"{self.access}..",
            "one part": "x",
            "dots": "..",
            "two tokens": f"{self.access} {self.access}",
            "in quotes": f'"{self.access}"',
            "NUL": f"{self.access}\0",
            "not ASCII": f"{self.access}é",
            "body is no JSON": self.sign_payload(b"x"),
            "body is a list": self.sign_payload(b"[]"),
            "body is not UTF-8": self.sign_payload(b'{"sub": "\xff"}'),
            "body is nested deeply": self.sign_payload(b'{"a":' * 400 + b"1" + b"}" * 400),
            "too long": self.sign({"pad": "x" * 4000}),
            "100 kB": "x" * 30_000,
        }

    def _wrong_times(self) -> dict[str, str]:
        now = self.claims["iat"]
        return {
            "issued in an hour": self.sign({"iat": now + 3600}),
            "valid in an hour": self.sign({"nbf": now + 3600}),
            "exp is text": self.sign({"exp": "tomorrow"}),
            "exp is empty": self.sign({"exp": ""}),
            "exp is digits": self.sign({"exp": str(now + 3600)}),
            "exp is a fraction": self.sign({"exp": now + 3600.5}),
            "exp is too far": self.sign({"exp": 10**18}),
            "exp is a list": self.sign({"exp": [now + 3600]}),
            "exp is infinite": self.sign_payload(
                json.dumps(self.claims | {"exp": float("inf")}).encode()
            ),
            "iat is text": self.sign({"iat": "now"}),
            "iat is empty": self.sign({"iat": ""}),
            "iat is digits": self.sign({"iat": str(now)}),
            "iat is true": self.sign({"iat": True}),
            "nbf is text": self.sign({"nbf": "now"}),
        }

    def _wrong_claims(self) -> dict[str, str]:
        found = {f"without {name}": self.sign({name: None}) for name in tokens.REQUIRED_CLAIMS}
        values: tuple[Any, ...] = ("other", "", 1, ["icecream", "access"], {})
        for name in ("iss", "aud", "typ", "pwd"):
            for value in values:
                found[f"{name} {value!r}"] = self.sign({name: value})
        found |= {f"fam {fam!r}": self.sign({"fam": fam}) for fam in WRONG_FAMILIES}
        own = self.claims["sub"]
        subjects = ["999999", str(2**31), str(2**70), "-1", "0", "1.0", "1 OR 1=1", "\u0661", ""]
        subjects += ["admin", f"0{own}", f" {own}", "\0", "\ud800"]
        found |= {f"sub {sub!r}": self.sign({"sub": sub}) for sub in subjects}
        found |= {f"sub {sub!r}": self.sign({"sub": sub}) for sub in (1, ["1"], {"id": 1})}
        ids: tuple[Any, ...] = ("", 1, ["x"], {})
        found |= {f"jti {jti!r}": self.sign({"jti": jti}) for jti in ids}
        swapped = dict(zip(("sub", "jti", "pwd"), ("jti", "pwd", "sub"), strict=True))
        changes = {name: self.claims[other] for name, other in swapped.items()}
        found["claims exchanged"] = self.sign(changes)
        return found | {"many audiences": self.sign({"aud": ["icecream", "other"]})}


Ending = Callable[[User, refresh_tokens.Pair], Awaitable[None]]


async def _revoke_family(user: User, pair: refresh_tokens.Pair) -> None:
    await RefreshToken.delete().where(RefreshToken.user == user.id)


async def _disable(user: User, pair: refresh_tokens.Pair) -> None:
    await users.disable_user(user.id)


async def _set_password(user: User, pair: refresh_tokens.Pair) -> None:
    await users.set_password(user.id, "another password")


async def _delete(user: User, pair: refresh_tokens.Pair) -> None:
    await RefreshToken.delete().where(RefreshToken.user == user.id)
    await User.delete().where(User.id == user.id)


ENDINGS: dict[str, Ending] = {
    "revoked family": _revoke_family,
    "disabled account": _disable,
    "new password": _set_password,
    "deleted account": _delete,
}


async def look(app: Any, line: matrix.Line, token: str) -> tuple[int, str, dict[str, Any]]:
    """Call a route with this token; return the status, the challenge and the problem."""
    path = re.sub(r"\{\w+\}", "1", line.path)
    answer = await call(app, line.method, path, {"Authorization": f"Bearer {token}"})
    problem = msgspec.json.decode(answer.body, type=dict[str, Any])
    same = {k: v for k, v in problem.items() if k not in ("request_id", "instance")}
    return answer.status, answer.headers.get("www-authenticate", ""), same


async def ended(hashed: str) -> dict[str, str]:
    """Return tokens that were valid, by what ended them; and refresh tokens as access tokens."""
    found = {}
    for name, end in ENDINGS.items():
        user = await new_user(hashed)
        pair = await refresh_tokens.issue_pair(user)
        await end(user, pair)
        found[name] = pair.access
        found[f"refresh token, {name}"] = pair.refresh
    pair = await refresh_tokens.issue_pair(await new_user(hashed))
    return found | {"refresh token": pair.refresh}


# Thousands of requests; `test_no_forged_or_ended_token_is_refreshed` sends the same tokens on both
# databases.
@pytest.mark.only("sqlite")
async def test_no_forged_or_ended_token_opens_any_route(
    client: httpx.AsyncClient, customer: Caller, hashed: str
) -> None:
    transport: Any = client._transport
    forger = Forger(customer.access)
    tried = forger.forged() | await ended(hashed)
    tried |= {f"fam {fam!r}": forger.sign({"fam": fam}) for fam in (None, "")}
    assert len(tried) >= 145
    assert len(PROTECTED) >= 42
    for line in PROTECTED:
        # All requests come from one address, more than it may send in a minute.
        rate_limits.request_counts.clear()
        answers = {name: await look(transport.app, line, token) for name, token in tried.items()}
        (answer, *others) = {repr(one): one for one in answers.values()}.values()
        assert not others, [name for name, one in answers.items() if one != answer]
        assert answer[:2] == (401, CHALLENGE), line.name
        assert answer[2]["code"] == "invalid-token"


async def test_no_forged_or_ended_token_is_refreshed(
    client: httpx.AsyncClient, customer: Caller, hashed: str
) -> None:
    pair = await refresh_tokens.issue_pair(customer.user)
    tried = Forger(pair.refresh).forged() | await ended(hashed) | {"access token": pair.access}
    del tried["refresh token"]
    codes = {}
    for name, token in tried.items():
        answer = await client.post("/api/token/refresh/", json={"refresh": token})
        codes[name] = (answer.status_code, answer.json()["code"])
    too_long = {name for name, one in tried.items() if len(one) > tokens.MAX_TOKEN_CHARACTERS}
    assert {name for name, code in codes.items() if code[0] == 400} <= too_long
    assert {codes[name] for name in set(codes) - too_long} == {(401, "invalid-refresh-token")}
    assert (await client.post("/api/token/refresh/", json={"refresh": pair.refresh})).is_success


async def test_a_valid_token_is_accepted_in_one_place_only(
    client: httpx.AsyncClient, customer: Caller
) -> None:
    transport: Any = client._transport
    (line,) = [line for line in PROTECTED if line.name == "GET /api/flavors"]
    good = f"Bearer {customer.access}"
    elsewhere = [
        {"X-Authorization": good},
        {"Proxy-Authorization": good},
        {"Cookie": f"access={customer.access}; token={customer.access}; id={customer.access}"},
        {"Authorization": f"Basic {encode(f'user:{customer.access}'.encode())}"},
    ]
    for headers in elsewhere:
        assert (await call(transport.app, "GET", line.path, headers)).status == 401
    for name in ("access_token", "token", "authorization"):
        query = f"{name}={customer.access}".encode()
        assert (await call(transport.app, "GET", line.path, query=query)).status == 401
    assert (await call(transport.app, "GET", line.path, {"Authorization": good})).status == 200


async def test_an_expired_token_opens_no_route(client: httpx.AsyncClient, customer: Caller) -> None:
    transport: Any = client._transport
    forger = Forger(customer.access)
    leeway = timedelta(seconds=tokens.CLOCK_LEEWAY_SECONDS).seconds
    over = forger.sign({"exp": forger.claims["iat"] - leeway - 1})
    for line in PROTECTED:
        status, challenge, problem = await look(transport.app, line, over)
        assert (status, problem["code"]) == (401, "expired-token"), line.name
        assert 'error="invalid_token"' in challenge
