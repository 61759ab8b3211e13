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
CONCURRENCY = 100
# For each second of a measurement, more than a worker finishes on a fast machine.
JOBS_PER_SECOND = 2_000
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DATABASE))
pool = AsyncConnectionPool(DATABASE, min_size=1, max_size=20, open=False)


@app.task(name="process_payment")
async def process_payment(order_id: int) -> None:
    async with pool.connection() as connection:
        await connection.execute("SELECT * FROM orders WHERE id = %s", [order_id])
        await connection.execute("UPDATE orders SET status = 'paid' WHERE id = %s", [order_id])


async def count_paid() -> int:
    async with pool.connection() as connection:
        found = await connection.execute("SELECT count(*) FROM orders WHERE status = 'paid'")
        (count,) = await found.fetchone()
    return count


async def main(seconds: float) -> None:
    jobs = int(JOBS_PER_SECOND * seconds)
    await pool.open()
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        async with pool.connection() as connection:
            await connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, status text)")
            await connection.execute(
                f"INSERT INTO orders SELECT n, 'pending' FROM generate_series(1, {jobs}) n"
            )
        await process_payment.batch_defer_async(*({"order_id": n} for n in range(1, jobs + 1)))
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)
        )
        first, done, began, now = 0, 0, 0.0, 0.0
        while done < jobs and now - began < seconds:
            await asyncio.sleep(0.1)
            done, now = await count_paid(), time.monotonic()
            if not first:
                first, began = done, now
        sys.stdout.write(f"{(done - first) / (now - began)}\n")
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
