"""The state tables."""

from pathlib import Path

from icecream import states


def test_every_state_that_is_led_to_exists() -> None:
    for arrows in (states.ORDER, states.PAYMENT):
        for following in arrows.values():
            assert set(following) <= set(arrows)


def test_what_is_over_is_over() -> None:
    assert set(states.PAYMENT) - set(states.unfinished(states.PAYMENT)) == {
        "succeeded",
        "declined",
        "void",
    }


def test_the_states_before_are_those_that_lead_there() -> None:
    assert states.before(states.PAYMENT, "sent") == ("new", "sent", "unknown")
    assert states.before(states.ORDER, "paid") == ("pending", "refunding")
    assert states.before(states.ORDER, "pending") == ("failed",)


def test_the_documentation_shows_these_very_states() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
    for arrows in (states.ORDER, states.PAYMENT):
        assert states.mermaid(arrows) in page
