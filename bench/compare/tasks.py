"""Tasks that do nothing, from asking for them to their committed end: Rampart on PostgreSQL with Redis, and Celery on Redis. Both
wait for the disk: PostgreSQL with its defaults, Redis with `appendfsync always`, Celery with late acknowledgement and stored results."""

import json
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from measure import number, say, table
from services import REDIS, postgres, prepare, redis

CELERY_REDIS = 6398
CELERY = Path("target/bench-peers/celery/bin")
APPLICATION = """
from celery import Celery
app = Celery("measured", broker="redis://127.0.0.1:{port}/0", backend="redis://127.0.0.1:{port}/1")
app.conf.update(task_acks_late=True, result_expires=3600, worker_prefetch_multiplier=64, task_send_sent_event=False)

@app.task(name="measured.nothing")
def nothing():
    return None
"""
# One at a time, as applications do it, or as groups of a thousand.
ASKING = """
import json, sys, time
from celery import group
import measured
tasks, batch = int(sys.argv[1]), int(sys.argv[2])
with measured.app.pool.acquire():
    # The connection is made before the clock starts, as Rampart's is.
    measured.app.connection_for_write().ensure_connection()
    since, begun = time.time(), time.perf_counter()
    if batch == 1:
        for _ in range(tasks):
            measured.nothing.delay()
    else:
        for first in range(0, tasks, batch):
            group(measured.nothing.s() for _ in range(min(batch, tasks - first))).apply_async()
    print(json.dumps({"begun": since, "seconds": time.perf_counter() - begun}))
"""
CONCURRENCY = 256
# Of claims with the most waiting, against those with the fewest.
FLAT = 1.5


def drained(count, wanted):
    """When the last one ended, and how many ended a second from the first that was seen on."""
    first, deadline = None, time.time() + 900
    while True:
        ended, now = count(), time.time()
        if ended >= wanted:
            break
        if ended > 0 and first is None:
            first = (now, ended)
        if now > deadline:
            raise SystemExit(f"only {ended} of {wanted} tasks ended")
        time.sleep(0.05)
    since, before = first or (now, wanted)
    return now, (wanted - before) / max(now - since, 0.001)


def kilobytes(process):
    """The memory of a process and its children now."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout.split("\n")
    rows = [tuple(map(int, line.split())) for line in listed if line.strip()]
    family = {process.pid}
    for _ in range(4):
        family |= {pid for pid, parent, _ in rows if parent in family}
    return sum(rss for pid, _, rss in rows if pid in family)


class Rampart:
    """One worker process on PostgreSQL; Redis only wakes it."""

    def __init__(self, sql, directory):
        self.sql, self.directory, self.runs = sql, directory, 0

    def empty(self):
        self.runs += 1
        self.base = f"tasks_{self.runs}"
        self.url = prepare(self.sql, self.base)

    def ask(self, tasks, batch):
        command = [os.environ["PLATFORM"], "asking", self.url, f"redis://127.0.0.1:{REDIS}", str(tasks), str(batch)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.directory).stdout)

    def ended(self):
        return int(self.sql("SELECT count(*) FROM rampart.tasks WHERE state = 'completed'", self.base))

    @contextmanager
    def worker(self, wait):
        around = {**os.environ, "RAMPART_DATABASE": self.url, "RAMPART_DOORBELL": f"redis://127.0.0.1:{REDIS}", "RAMPART_LOG": "warn"}
        command = [os.environ["RAMPART"], "worker", "--stage", "exercise", "--concurrency", str(CONCURRENCY)]
        with ending(subprocess.Popen(command, env=around, cwd=self.directory)) as running:
            time.sleep(1.5 if wait else 0)
            yield running


class Celery:
    """Two worker processes, one a core; Redis keeps messages and results."""

    def __init__(self, directory):
        self.directory = directory
        (directory / "measured.py").write_text(APPLICATION.format(port=CELERY_REDIS))

    def empty(self):
        subprocess.run(["redis-cli", "-p", str(CELERY_REDIS), "flushall"], check=True, capture_output=True)

    def ask(self, tasks, batch):
        command = [CELERY.resolve() / "python", "-c", ASKING, str(tasks), str(batch)]
        return json.loads(subprocess.run(command, check=True, cwd=self.directory, capture_output=True, text=True).stdout)

    def ended(self):
        counted = ["redis-cli", "-p", str(CELERY_REDIS), "-n", "1", "dbsize"]
        return int(subprocess.run(counted, capture_output=True, text=True, check=True).stdout.split()[-1])

    @contextmanager
    def worker(self, wait):
        command = [CELERY.resolve() / "celery", "-A", "measured", "worker", "--concurrency", "2", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with ending(subprocess.Popen(command, cwd=self.directory, **quiet)) as running:
            time.sleep(4 if wait else 0)
            yield running


@contextmanager
def ending(process):
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def end_to_end(system, tasks, batch):
    """Asked for and ended a second while a worker works, and its memory."""
    system.empty()
    with system.worker(wait=True) as running:
        asked = system.ask(tasks, batch)
        last, _ = drained(system.ended, tasks)
        return tasks / asked["seconds"], tasks / (last - asked["begun"]), kilobytes(running) / 1024


def drain(system, tasks, batch):
    """Asked for while nobody works; then ended a second, from the first end on."""
    system.empty()
    asked = system.ask(tasks, batch)
    with system.worker(wait=False) as running:
        _, rate = drained(system.ended, tasks)
        return tasks / asked["seconds"], rate, kilobytes(running) / 1024


def beside_celery(directory, trying, problems, sql):
    tasks, rounds = (1_000, 1) if trying else (20_000, 3)
    ours, theirs = Rampart(sql, directory), Celery(directory)
    # What is compared with what, and how.
    rows = {
        "Rampart, one task a transaction": (end_to_end, ours, 1),
        "Celery, one `delay()` at a time": (end_to_end, theirs, 1),
        "Rampart, 100 tasks a transaction": (end_to_end, ours, 100),
        "Celery, groups of 1,000": (end_to_end, theirs, 1_000),
        "Rampart, filled beforehand": (drain, ours, 100),
        "Celery, filled beforehand": (drain, theirs, 1_000),
    }
    figures = {name: [] for name in rows}
    for turn in range(rounds):
        for name, (measure, system, batch) in rows.items():
            figures[name].append(measure(system, tasks, batch))
            say(f"    {name}: {figures[name][-1][0]:,.0f} asked for, {figures[name][-1][1]:,.0f} ended a second")
    printed, names = [], list(rows)
    for at, name in enumerate(names):
        asked, ended, memory = (median(figure[part] for figure in figures[name]) for part in range(3))
        least, most = (choose(figure[1] for figure in figures[name]) for choose in (min, max))
        rival = names[at - at % 2]
        times = ended / median(figure[1] for figure in figures[rival])
        printed.append((name, number(asked), number(ended), f"{least:,.0f} to {most:,.0f}", f"{times:.2f} x", f"{memory:.0f} MB"))
        if at % 2:
            problems.expect(times < 1, f"tasks: not faster than {name}")
    print(f"{number(tasks)} tasks that do nothing, asked for by one client; medians of {rounds} rounds that take turns. Rampart: one worker process, {CONCURRENCY}")
    print("tasks at a time; a task is there once PostgreSQL has written it to the disk (`synchronous_commit` and `fsync` on), and so is its end; what")
    print("Redis loses is only a ring. Celery: two worker processes, one a core, each with one task at a time and 64 fetched ahead; Redis holds messages")
    print("and results, and writes each to the disk (`appendfsync always`); a message is acknowledged after its task (`task_acks_late`).\n")
    table(("", "asked for a second", "ended a second", "range", "against Rampart", "memory of the workers"), printed)
    print("Ended a second: from the first that is asked for to the last end; where the queue was filled beforehand, from the first end on.\n")


def main(directory, trying, problems):
    sizes = [1_000, 10_000] if trying else [1_000, 10_000, 100_000, 1_000_000]
    with postgres(directory) as sql, redis(directory, REDIS), redis(directory, CELERY_REDIS):
        beside_celery(directory, trying, problems, sql)
        sizes_url = prepare(sql, "sizes")
        rows = []
        for name, url in (("PostgreSQL", sizes_url), ("SQLite", f"sqlite:{directory}/sizes.db")):
            say(f"  {name} with more and more waiting")
            done = subprocess.run([os.environ["QUEUE_THROUGHPUT"], url, *map(str, sizes)], check=True, capture_output=True, text=True)
            figures = [json.loads(line) for line in done.stdout.splitlines()]
            rows += [
                (name, number(figure["waiting"]), *(number(figure[f"{word}_per_second"]) for word in ("enqueued", "claimed", "completed")))
                for figure in figures
            ]
            claims = [figure["claimed_per_second"] for figure in figures]
            problems.expect(min(claims) >= claims[0] / FLAT, f"tasks: claims on {name} fall from {claims[0]} to {min(claims)} a second")
        print("One client, 100 tasks in a transaction, 5,000 claimed and completed for each row:\n")
        table(("", "waiting", "asked for a second", "claimed a second", "completed a second"), rows)
