"""Refusals."""

from icecream import errors


def kinds() -> list[type[errors.Refusal]]:
    return errors.Refusal.__subclasses__()


def test_every_refusal_says_itself_in_one_sentence() -> None:
    for kind in kinds():
        assert kind.__doc__ is not None
        assert kind.__doc__.split("\n")[0].endswith("."), kind


def test_codes_are_kebab_words_and_nobody_shares_one() -> None:
    codes = [kind.code for kind in kinds()]
    assert "insufficient-stock" in codes
    assert len(codes) == len(set(codes))


def test_members_and_headers_are_each_refusals_own() -> None:
    refusal = errors.Unavailable("Later.", reason="x")
    refusal.headers["X"] = "y"
    assert refusal.members == {"reason": "x"}
    assert (refusal.detail, errors.Unavailable().headers) == ("Later.", {"Retry-After": "1"})


def test_no_refusal_grows_with_its_request() -> None:
    long = "/" + "x" * 100_000
    refusal = errors.ValidationFailed(long, "unknown-field", long)
    document = refusal.document(address="", instance=long, request_id="1")
    assert document["detail"] == document["instance"] == long[: errors.LONGEST]
    (error,) = document["errors"]
    assert error["pointer"] == error["detail"] == long[: errors.LONGEST]
