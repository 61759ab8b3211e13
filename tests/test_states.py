"""Test the state tables."""

import re
from pathlib import Path

import pytest

from icecream import states


def test_every_state_that_is_led_to_exists() -> None:
    for arrows in (states.ORDER, states.PAYMENT, states.FULFILMENT):
        for following in arrows.values():
            assert set(following) <= set(arrows)


def test_each_step_of_a_fulfilment_can_be_taken_back() -> None:
    for state, following in states.FULFILMENT.items():
        for after in following:
            assert state in states.FULFILMENT[after]


def test_an_event_is_a_status_or_a_step_of_the_fulfilment_and_not_both() -> None:
    assert not set(states.ORDER) & set(states.FULFILMENT)


def test_final_states_do_not_change() -> None:
    assert set(states.PAYMENT) - set(states.open_states(states.PAYMENT)) == {
        "succeeded",
        "declined",
        "void",
    }


def test_each_decision_about_a_payment_is_a_transition() -> None:
    for decision in states.DECISIONS.values():
        for source in decision.sources:
            states.check_transition(states.PAYMENT, source, decision.goal)


def test_the_states_before_are_those_that_lead_there() -> None:
    assert states.sources_of(states.PAYMENT, "sent") == ("new", "sent", "unknown")
    assert states.sources_of(states.ORDER, "paid") == ("pending", "refunding")
    assert states.sources_of(states.ORDER, "pending") == ("failed",)


def test_the_table_leads_from_where_people_may_do_something_to_its_end() -> None:
    for sources, goal in states.ACTIONS.values():
        for source in sources:
            reached = {source}
            for _ in states.ORDER:
                reached |= {after for state in reached for after in states.ORDER[state]}
            assert goal in reached


def test_other_transitions_are_not_written() -> None:
    with pytest.raises(KeyError):
        states.check_transition(states.ORDER, "paid", "canceled")


def test_the_documentation_shows_these_very_states_and_no_others() -> None:
    top, shown = Path(__file__).parents[1], []
    for page in (top / "README.md", *(top / "docs").glob("*.md")):
        shown += re.findall(r"```mermaid\n(stateDiagram.*?)\n```", page.read_text(), re.DOTALL)
    assert sorted(shown) == sorted(
        map(states.mermaid_diagram, (states.ORDER, states.PAYMENT, states.FULFILMENT))
    )
