"""What must hold after every test that moves orders or money."""

from icecream import doctor


async def check() -> None:
    """Every rule of the doctor holds."""
    broken = await doctor.examine()
    assert broken == {}, broken
