"""What must hold after every test that moves orders or money."""

from icecream import doctor


async def check() -> None:
    """Every rule of the doctor holds."""
    assert await doctor.examine() == {}
