"""Our own server without the line: each order is a transaction of its own, begun at once."""

from icecream import cli, intake, keys


class Unbatched(intake.Intake):
    """Orders that wait for nobody, and share nothing."""

    async def place(
        self,
        user: int,
        lines: dict[int, int],
        key: keys.Key | None = None,
        method: str | None = None,
    ) -> intake.Placed:
        (outcome,) = await self._place([intake.Wanted(user, lines, key, method)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


if __name__ == "__main__":
    intake.Intake = Unbatched  # type: ignore[misc]  # before the application makes one
    cli.main(["serve"])
