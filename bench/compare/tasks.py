"""Tasks that do nothing, from asking for them to their committed end: Rampart on PostgreSQL with Redis, and Celery on Redis. Both
wait for the disk: PostgreSQL with its defaults, Redis with `appendfsync always`, Celery with late acknowledgement and stored results."""

import json
import os
import subprocess
import time
from pathlib import Path

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


def wait_until(count, wanted):
    begin = time.perf_counter()
    while count() < wanted:
        if time.perf_counter() - begin > 900:
            raise SystemExit(f"only {count()} of {wanted} tasks ended")
        time.sleep(0.05)


def kilobytes(process):
    """The memory of a process and its children now."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout.split("\n")
    rows = [tuple(map(int, line.split())) for line in listed if line.strip()]
    family = {process.pid}
    for _ in range(4):
        family |= {pid for pid, parent, _ in rows if parent in family}
    return sum(rss for pid, _, rss in rows if pid in family)


def of_rampart(sql, directory, tasks):
    base = f"tasks_{tasks}"
    url = prepare(sql, base)
    program = os.environ["RAMPART"]
    around = {**os.environ, "RAMPART_DATABASE": url, "RAMPART_DOORBELL": f"redis://127.0.0.1:{REDIS}", "RAMPART_LOG": "warn"}
    subprocess.run([program, "tenant", "create", "default"], check=True, capture_output=True, env=around, cwd=directory)
    worker = subprocess.Popen([program, "worker", "--stage", "exercise", "--concurrency", "256"], env=around, cwd=directory)
    try:
        time.sleep(1.5)
        begin = time.perf_counter()
        subprocess.run([program, "task", "exercise", "--count", str(tasks)], check=True, capture_output=True, env=around, cwd=directory)
        asked = time.perf_counter() - begin
        wait_until(lambda: int(sql("SELECT count(*) FROM rampart.tasks WHERE state = 'completed'", base)), tasks)
        return asked, time.perf_counter() - begin, kilobytes(worker)
    finally:
        worker.terminate()
        worker.wait()


def of_celery(directory, tasks):
    (directory / "measured.py").write_text(APPLICATION.format(port=CELERY_REDIS))
    subprocess.run(["redis-cli", "-p", str(CELERY_REDIS), "flushall"], check=True, capture_output=True)
    worker = subprocess.Popen(
        [CELERY.resolve() / "celery", "-A", "measured", "worker", "--concurrency", "2", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"],
        cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(4)
        begin = time.perf_counter()
        asking = f"import measured\nwith measured.app.pool.acquire():\n    [measured.nothing.delay() for _ in range({tasks})]"
        subprocess.run([CELERY.resolve() / "python", "-c", asking], check=True, cwd=directory, capture_output=True)
        asked = time.perf_counter() - begin

        def ended():
            return int(subprocess.run(["redis-cli", "-p", str(CELERY_REDIS), "-n", "1", "dbsize"], capture_output=True, text=True).stdout.split()[-1])

        wait_until(ended, tasks)
        return asked, time.perf_counter() - begin, kilobytes(worker)
    finally:
        worker.terminate()
        worker.wait()


def main(directory, trying, problems):
    tasks = 2_000 if trying else 20_000
    sizes = [1_000, 10_000] if trying else [1_000, 10_000, 100_000, 1_000_000]
    print("## Tasks\n")
    with postgres(directory) as sql, redis(directory, REDIS), redis(directory, CELERY_REDIS):
        say(f"  {number(tasks)} tasks")
        ours, theirs = of_rampart(sql, directory, tasks), of_celery(directory, tasks)
        rows = [
            (name, f"{tasks / asked:,.0f}", f"{tasks / ended:,.0f}", f"{ended / ours[1]:.1f}", f"{memory / 1024:.0f} MB")
            for name, (asked, ended, memory) in (("Rampart, PostgreSQL and Redis", ours), ("Celery, Redis", theirs))
        ]
        print(f"{number(tasks)} tasks that do nothing, asked for by one client while one worker process works (Celery: two, one a core).\n")
        table(("", "asked for a second", "ended a second, end to end", "time", "memory of the workers"), rows)
        problems.expect(ours[1] < theirs[1], "tasks: slower than Celery")
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
            first, last = figures[0]["claimed_per_second"], figures[-1]["claimed_per_second"]
            problems.expect(last > first / 3, f"tasks: claims on {name} fall from {first} to {last} a second")
        print("\nOne client, 100 tasks in a transaction, 5,000 claimed and completed for each row:\n")
        table(("", "waiting", "asked for a second", "claimed a second", "completed a second"), rows)
