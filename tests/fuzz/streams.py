"""A server whose endless responses end after their first block, for programs that read to the end.

The text is run by a server before it starts (`Shop.begin_altered`).
"""

FIRST_BLOCK_ONLY = """
from contextlib import aclosing
from icecream.http import event_stream
send_blocks = event_stream.send_blocks

async def first(blocks):
    async with aclosing(blocks):
        async for block in blocks:
            yield block
            return

async def send_first_block(blocks, *others):
    await send_blocks(first(blocks), *others)

event_stream.send_blocks = send_first_block
"""
