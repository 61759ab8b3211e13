"""Test the advice for each finding of the doctor."""

import re

import pytest

from icecream import cli
from icecream.integrity import doctor, repair
from icecream.integrity.advice import ADVICE

pytestmark = pytest.mark.only("sqlite")


def test_each_rule_has_advice() -> None:
    assert ADVICE.keys() == doctor.RULES.keys() | doctor.SEQUENCE_RULES.keys()


@pytest.mark.parametrize("rule", doctor.RULES)
def test_a_repair_is_advised_where_there_is_one(rule: str) -> None:
    first_words = ADVICE[rule].split(":")[0]
    assert ("--repair" in first_words) == repair.is_repairable(rule)


def test_the_commands_in_the_advice_exist() -> None:
    commands = set(re.findall("`icecream ([a-z]+)", " ".join(ADVICE.values())))
    assert commands == {"doctor", "reconcile"}
    assert commands <= cli.main.commands.keys()
