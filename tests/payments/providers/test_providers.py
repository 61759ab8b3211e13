"""Test the simulated payment provider."""

import asyncio
import time

import pytest

from icecream.payments.providers import Charge, Declined, SimulatedProvider, Succeeded

pytestmark = pytest.mark.anyio


def charges(n: int) -> list[Charge]:
    return [Charge(f"key {i}", 100, "EUR", i) for i in range(n)]


async def test_asking_twice_gives_the_same_answer() -> None:
    one, other = SimulatedProvider((0, 0), 0.5), SimulatedProvider((0, 0), 0.5)
    for charge in charges(50):
        assert await one.charge(charge) == await other.charge(charge)


async def test_about_the_wanted_share_is_declined() -> None:
    provider = SimulatedProvider((0, 0), 0.1)
    answers = await asyncio.gather(*(provider.charge(charge) for charge in charges(2000)))
    declined = sum(isinstance(answer, Declined) for answer in answers)
    assert 140 < declined < 260
    references = {answer.reference for answer in answers if isinstance(answer, Succeeded)}
    assert len(references) == 2000 - declined


@pytest.mark.parametrize(("rate", "kind"), [(0.0, Succeeded), (1.0, Declined)])
async def test_none_or_all_may_be_declined(rate: float, kind: type) -> None:
    answers = [await SimulatedProvider((0, 0), rate).charge(charge) for charge in charges(200)]
    assert {type(answer) for answer in answers} == {kind}


async def test_it_takes_at_least_the_configured_time() -> None:
    began = time.monotonic()
    await SimulatedProvider((0.05, 0.06), 0).charge(*charges(1))
    assert time.monotonic() - began >= 0.05
