"""Test the loop of a periodic task: its pauses, and its outages."""

import asyncio

import pytest

from icecream import database
from tasks import periodic

pytestmark = pytest.mark.anyio


class FakeExecutor:
    """Its sweeps return or raise these answers in turn; `done` is set after the last one."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.done = asyncio.Event()

    async def sweep(self) -> bool:
        if not self.answers:
            self.done.set()
            await asyncio.sleep(60)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_periodic_task_continues_at_once_while_there_is_more_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    real = asyncio.sleep

    async def noted(seconds: float) -> None:
        # Tasks of other tests may still run and sleep, too.
        if seconds < 60 and asyncio.current_task() is loop:
            pauses.append(seconds)
            seconds = 0
        await real(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    away = database.DatabaseUnavailable("restarting")
    executor = FakeExecutor(True, True, False, away, True, False)
    loop = asyncio.create_task(periodic.run_periodically(executor.sweep, 8.0))
    await executor.done.wait()
    loop.cancel()
    assert len(pauses) == 3
    assert all(6.0 <= pause <= 10.0 for pause in pauses)
