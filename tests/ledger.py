"""The check after every test that moves orders or money."""

from icecream.integrity import doctor


async def check() -> None:
    """Assert that all rules of the doctor hold."""
    broken = await doctor.find_violations()
    assert broken == {}, broken
