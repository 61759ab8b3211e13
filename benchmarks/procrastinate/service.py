"""procrastinate, a job queue in PostgreSQL, with the original's task without its sleep.

`service.py SECONDS` prints how many jobs per second one worker finishes.
"""

import asyncio
import os
import sys
import time

import procrastinate
from psycopg_pool import AsyncConnectionPool

DATABASE = os.environ["PEER_DATABASE"]
# One of our workers has as many jobs in flight.
CONCURRENCY = 50
# More than any machine finishes in the time of a measurement.
JOBS = 20_000
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DATABASE))
pool = AsyncConnectionPool(DATABASE, min_size=1, max_size=20, open=False)


@app.task(name="process_payment")
async def process_payment(order_id: int) -> None:
    async with pool.connection() as connection:
        await connection.execute("SELECT * FROM orders WHERE id = %s", [order_id])
        await connection.execute("UPDATE orders SET status = 'paid' WHERE id = %s", [order_id])


async def main(seconds: float) -> None:
    await pool.open()
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        async with pool.connection() as connection:
            await connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, status text)")
            await connection.execute(
                f"INSERT INTO orders SELECT n, 'pending' FROM generate_series(1, {JOBS}) n"
            )
        await process_payment.batch_defer_async(*({"order_id": n} for n in range(1, JOBS + 1)))
        began = time.monotonic()
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)
        )
        await asyncio.sleep(seconds)
        async with pool.connection() as connection:
            found = await connection.execute("SELECT count(*) FROM orders WHERE status = 'paid'")
            (done,) = await found.fetchone()
        sys.stdout.write(f"{done / (time.monotonic() - began)}\n")
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
