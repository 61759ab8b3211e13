"""Test the refusals: their codes, texts and headers."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from icecream import errors

SOURCE = Path(errors.__file__).parent


def kinds() -> list[type[errors.Refusal]]:
    return errors.Refusal.__subclasses__()


def test_every_refusal_has_a_message_of_one_sentence() -> None:
    for kind in kinds():
        assert kind.__doc__ is not None
        assert kind.__doc__.split("\n")[0].endswith("."), kind


def test_codes_are_unique_and_in_kebab_case() -> None:
    codes = [kind.code for kind in kinds()]
    assert "insufficient-stock" in codes
    assert len(codes) == len(set(codes))


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Yield the class name and the call of each `raise errors.X(...)` in the code."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            call = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("errors."):
                yield ast.unparse(call.func).removeprefix("errors."), call


def test_a_conflict_has_a_code_of_its_own() -> None:
    """A client that reads only the code can tell the reason for the conflict."""
    conflicts = {kind.__name__ for kind in kinds() if kind.status in (409, 412, 422)}
    words = defaultdict(set)
    for name, call in raised():
        if name in conflicts:
            sentence = ast.unparse(call.args[0]) if call.args else ""
            words[name].add(re.sub(r"\{.*?\}|^f|['\"]", "", sentence))
    several = {name: found for name, found in words.items() if len(found) > 1}
    # InvalidTransition is raised with several arguments: two statuses name the attempted change.
    assert set(several) <= {"InvalidTransition"}, several
    assert {"NameTaken", "RefundInProgress"} <= conflicts
    assert "conflict" not in [kind.code for kind in kinds()]


def test_members_and_headers_are_each_refusals_own() -> None:
    refusal = errors.Unavailable("Later.", reason="x")
    refusal.headers["X"] = "y"
    assert refusal.members == {"reason": "x"}
    assert (refusal.detail, errors.Unavailable().headers) == ("Later.", {"Retry-After": "1"})


def test_no_refusal_grows_with_its_request() -> None:
    long = "/" + "x" * 100_000
    refusal = errors.ValidationFailed(long, "unknown-field", long)
    document = refusal.document(address="", instance=long, request_id="1")
    assert document["detail"] == document["instance"] == long[: errors.MAX_TEXT_LENGTH]
    (error,) = document["errors"]
    assert error["pointer"] == error["detail"] == long[: errors.MAX_TEXT_LENGTH]
