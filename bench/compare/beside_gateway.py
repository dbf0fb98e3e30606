"""What the gateway is put beside: the same read of a task by FastAPI, written as somebody would who cares for its speed. A key by
its hash, a role, three rates, counters, a task by its tenant, from memory for a second or by PostgreSQL with row-level security.

Started by uvicorn, which names the module; `KEYS` and `DATABASE` are in its environment."""

import hashlib
import json
import os
import time
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, Request, Response

RATE = 1_000_000
FOR = 1.0
MAY = {"viewer": {"tasks.read"}, "scanner": {"tasks.read"}}
KEYS = {bytes.fromhex(digest): (prefix, tenant, role) for digest, prefix, tenant, role in json.loads(os.environ["KEYS"])}
buckets, counts, recent = {}, {}, {}
pool = None


@asynccontextmanager
async def lifespan(_):
    global pool
    pool = await asyncpg.create_pool(os.environ["DATABASE"], min_size=5, max_size=5)
    yield
    await pool.close()


app = FastAPI(lifespan=lifespan)


def take(name, now):
    """A bucket of a second's worth that fills steadily."""
    left, at = buckets.get(name, (RATE, now))
    left = min(RATE, left + (now - at) * RATE)
    buckets[name] = (left - 1, now)
    return left >= 1


async def read(tenant, task):
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL ROLE rampart_tenant")
        await connection.execute("SELECT set_config('rampart.tenant', $1, true)", tenant)
        row = await connection.fetchrow(
            "SELECT to_jsonb(tasks)::text FROM rampart.tasks WHERE tenant_id = $1::uuid AND task_id = $2::uuid", tenant, task
        )
    return row and row[0]


@app.get("/api/v1/tasks/{task}")
async def show(task: str, request: Request):
    now = time.monotonic()
    given = request.headers.get("authorization", "")
    known = KEYS.get(hashlib.sha256(given.removeprefix("Bearer ").encode()).digest())
    status, body = 401, b"{}"
    if known:
        prefix, tenant, role = known
        if not (take(request.client.host, now) and take(prefix, now) and take(tenant, now)):
            status = 429
        elif "tasks.read" not in MAY[role]:
            status = 403
        else:
            at, kept = recent.get((tenant, task), (0, None))
            if kept is None or now - at >= FOR:
                kept = await read(tenant, task)
                if len(recent) < 10_000:
                    recent[(tenant, task)] = (now, kept)
            status, body = (200, kept) if kept else (404, b"{}")
    counts[("/api/v1/tasks/{task}", status)] = counts.get(("/api/v1/tasks/{task}", status), 0) + 1
    return Response(body, status, media_type="application/json")
