"""Requests a second by the API, beside the bare library and beside FastAPI, which does the same work."""

import hashlib
import json
import os
import re
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import overload
from measure import megabytes, number, say, table
from servers import accepts, end_with_parent, process
from services import POSTGRES, postgres, prepare

PORT, BARE, PEER = 8440, 8441, 8442
WANTED, SLOWEST = 10_000, 20
CONNECTIONS = 32
TASKS = 100_000
# What the last of ten minutes may have more than the first.
FLAT = 1.05
# More than are answered at once: the others are told to come again.
CROWD = 2_000
UVICORN = Path("target/bench-peers/fastapi/bin/uvicorn")
# As many ask, through a proxy: one address has only its part of the connections and of what is answered at once.
ADDRESSES = 100
# Tasks of the file, one after the other. What is asked is written beforehand: the generator takes little of the cores.
SCRIPT = """
local requests, next_one = {}, 0
function init(args)
  local headers = { Authorization = "Bearer " .. os.getenv("KEY") }
  for line in io.lines(os.getenv("PATHS")) do
    headers["X-Forwarded-For"] = "192.0.2." .. (#requests % tonumber(os.getenv("ADDRESSES")) + 1)
    requests[#requests + 1] = wrk.format("GET", line, headers)
  end
end
function request() next_one = next_one % #requests + 1; return requests[next_one] end
"""


def load(directory, port, paths, key, seconds, connections=CONNECTIONS):
    """What wrk says: answers a second, the 99th percentile in milliseconds, how many of them were no 2xx, and what went wrong; and how many
    processors it took."""
    listed, script = directory / "paths", directory / "load.lua"
    listed.write_text("\n".join(paths * (1 + ADDRESSES // len(paths))) + "\n")
    script.write_text(SCRIPT)
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s", "--latency", "-s", script]
    command.append(f"http://127.0.0.1:{port}")
    around = {**os.environ, "PATHS": str(listed), "KEY": key, "ADDRESSES": str(ADDRESSES)}
    before = overload.taken()
    said = subprocess.run(command, env=around, capture_output=True, text=True, check=True).stdout
    generating = (overload.taken() - before) / seconds
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = re.search(r"Socket errors: (.*)", said)
    total = int(re.search(r"(\d+) requests in", said).group(1))
    refused = int(failed.group(1)) if failed else 0
    amount, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    milliseconds = float(amount) * {"us": 0.001, "ms": 1, "s": 1_000}[unit]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))
    say(f"    {rate:.0f} a second, p99 {milliseconds:.2f} ms, {refused} of {total} refused{', ' + errors.group(1) if errors else ''}")
    return rate, milliseconds, refused / total, errors and errors.group(1), generating


def resident(process):
    """Of a server and those that it started, in megabytes."""
    pids = [process.pid]
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) in pids:
            pids.append(int(status.parent.name))
    pages = sum(int((Path("/proc") / str(pid) / "statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)


@contextmanager
def gateway(directory, database):
    around = {**os.environ, "RAMPART_DATABASE": database, "RAMPART_LOG": "warn"}
    rate = "1000000"
    command = [os.environ["RAMPART"], "gateway", "--address-rate", rate, "--key-rate", rate, "--tenant-rate", rate]
    with open(directory / "gateway.log", "wb") as log:
        command += ["--linger", "1ms", "--trusted-proxies", "127.0.0.1/32"]
        server = subprocess.Popen(command, env=around, cwd=directory, stdout=log, stderr=log, preexec_fn=end_with_parent)
    try:
        deadline = time.monotonic() + 30
        while not accepts("127.0.0.1", PORT)():
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the gateway did not start: " + (directory / "gateway.log").read_text()[-2_000:])
            time.sleep(0.05)
        yield server
    finally:
        server.terminate()
        server.wait()


def get(path, key):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def main(directory, trying, problems):
    seconds, tasks = (2, 1_000) if trying else (15, TASKS)
    with postgres(directory) as sql:
        database = prepare(sql, "gateway")

        def rampart(*words):
            around = {**os.environ, "RAMPART_DATABASE": database}
            return subprocess.run([os.environ["RAMPART"], *words], env=around, cwd=directory, check=True, capture_output=True, text=True).stdout

        rampart("tenant", "create", "default")
        rampart("task", "exercise", "--count", str(tasks), "--hold", "1ms")
        key = rampart("key", "create", "load", "--role", "viewer").strip()
        ids = sql("SELECT task_id FROM rampart.tasks ORDER BY random()", "gateway").split()
        tenant = sql("SELECT tenant_id FROM rampart.tenants", "gateway")
        one, every = [f"/api/v1/tasks/{ids[0]}"], [f"/api/v1/tasks/{task}" for task in ids]
        rows = beside(directory, problems, trying, seconds, database, key, tenant, one, every)
    table(("", "answers a second", "p99", "memory"), rows)


def beside(directory, problems, trying, seconds, database, key, tenant, one, every):
    rows, rates = [], {}

    def measure(name, port, paths, server, **options):
        say(f"  {name}")
        load(directory, port, paths, key, 1, **options)
        rate, slowest, refused, errors, generating = load(directory, port, paths, key, seconds, **options)
        problems.expect(trying or not errors, f"gateway: {name}: {errors}")
        # Whoever is refused is answered sooner.
        crowded = options.get("connections", CONNECTIONS) > CONNECTIONS
        problems.expect(crowded or refused == 0, f"gateway: {name}: {refused:.1%} of the answers are none")
        rates[name] = rate, slowest, refused, generating
        rows.append((name, number(rate * (1 - refused)), f"{slowest:.1f} ms", megabytes(resident(server))))

    with gateway(directory, database) as server:
        body = get(one[0], key)
        measure("Rampart, a task from memory", PORT, one, server)
        measure("Rampart, tasks by PostgreSQL", PORT, every, server)
        measure(f"Rampart, from memory, {number(CROWD)} connections", PORT, one, server, connections=CROWD)
        carried, _, _, generating = rates["Rampart, tasks by PostgreSQL"]
        poured = overload.main(directory, PORT, every, key, ADDRESSES, (carried, generating), trying, problems)
        flat = steady(directory, server, every, key, trying, problems)
    (directory / "body").write_bytes(body)
    with process([os.environ["BARE"], f"127.0.0.1:{BARE}", directory / "body"], accepts("127.0.0.1", BARE)) as server:
        measure("bare axum, a text", BARE, ["/"], server)
    known = json.dumps([[hashlib.sha256(key.encode()).hexdigest(), key.split("_")[1], tenant, "viewer"]])
    around = {"KEYS": known, "DATABASE": database, "PYTHONPATH": str(Path("bench/compare").resolve())}
    command = ["env", *(f"{name}={value}" for name, value in around.items()), UVICORN.resolve(), "beside_gateway:app"]
    command += ["--port", PEER, "--workers", "2", "--log-level", "warning", "--no-access-log"]
    with process(command, accepts("127.0.0.1", PEER), directory / "uvicorn.log") as server:
        measure("FastAPI, a task from memory", PEER, one, server)
        measure("FastAPI, tasks by PostgreSQL", PEER, every, server)

    memory, slowest, _, _ = rates["Rampart, a task from memory"]
    stored, stored_slowest, _, _ = rates["Rampart, tasks by PostgreSQL"]
    crowd, _, refused, _ = rates[f"Rampart, from memory, {number(CROWD)} connections"]
    print(f"`GET /api/v1/tasks/{{task}}` ({len(body)} bytes of JSON) with a key: who asks, their role, three rates, metrics, a line in the log that nobody")
    print(f"wants. wrk with {CONNECTIONS} connections of {ADDRESSES} addresses, {seconds} s, on the same cores; FastAPI with two processes of uvicorn and uvloop does the same work.\n")
    print(f"From memory {memory / rates['bare axum, a text'][0]:.2f} of what bare axum does, {memory / rates['FastAPI, a task from memory'][0]:.1f} times FastAPI;")
    print(f"by PostgreSQL with row-level security, one transaction for those who ask at the same moment, {stored / rates['FastAPI, tasks by PostgreSQL'][0]:.1f} times FastAPI.\n")
    print(f"With {number(CROWD)} connections, of which 1,024 requests are answered at once, {refused:.1%} are told to come again and")
    print(f"{crowd * (1 - refused) / memory:.2f} of the answers are given. {flat}\n")
    print(poured)
    if not trying:
        problems.expect(memory >= WANTED, f"gateway: {number(memory)} requests a second from memory; {number(WANTED)} are wanted")
        problems.expect(slowest <= SLOWEST, f"gateway: p99 {slowest:.1f} ms from memory; {SLOWEST} ms are wanted")
        problems.expect(stored >= WANTED, f"gateway: {number(stored)} requests a second by PostgreSQL; {number(WANTED)} are wanted")
        problems.expect(stored_slowest <= SLOWEST, f"gateway: p99 {stored_slowest:.1f} ms by PostgreSQL; {SLOWEST} ms are wanted")
        problems.expect(crowd * (1 - refused) >= 0.7 * memory, "gateway: with a crowd much less is answered")
    return rows


def steady(directory, server, paths, key, trying, problems):
    """Memory over ten minutes of load by PostgreSQL."""
    rounds = 2 if trying else 10
    held = []
    for _ in range(rounds):
        load(directory, PORT, paths, key, 1 if trying else 60)
        held.append(resident(server))
    problems.expect(trying or held[-1] <= FLAT * held[0], f"gateway: memory grows from {held[0]:.0f} to {held[-1]:.0f} MB in {rounds - 1} minutes")
    return f"Memory after each of {rounds} further minutes of load by PostgreSQL: " + ", ".join(f"{value:.0f}" for value in held) + " MB."
