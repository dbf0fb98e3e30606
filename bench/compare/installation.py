"""What an installation does, in numbers: tasks begun, shares of tenants, what is lost by a crash, what an hour's
work leaves behind. PostgreSQL waits for the disk; so does SQLite."""

import heapq
import json
import os
import random
import subprocess
import time
from contextlib import contextmanager
from statistics import median

import losses
from measure import number, say, table
from servers import end_with_parent
from services import POSTGRES, REDIS, postgres, prepare, rabbitmq, redis

START_HERE, START_ACROSS = 20, 100
FEW = 10
UNFAIR = 1.5
# Where nothing that is at work is taken away, few may have to wait longer: then so many times the least that is possible.
NEAR = 1.1
IDLE = 60
# Of a claim at the end, against the beginning.
FLAT = 1.5


def measured(*words):
    """What the example says, one object a line, as it comes."""
    command = [os.environ["PLATFORM"], *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent) as running:
        for line in running.stdout:
            say(f"    {line.rstrip()}")
            yield json.loads(line)
    if running.returncode != 0:
        raise SystemExit(f"`{' '.join(command[1:3])}` ended with {running.returncode}")


@contextmanager
def worker(directory, database, doorbell, *options):
    """A worker in a process of its own, ready to work."""
    around = {**os.environ, "RAMPART_DATABASE": database, "RAMPART_DOORBELL": doorbell}
    command = [os.environ["RAMPART"], "worker", "--stage", "exercise", *map(str, options)]
    log = directory / f"worker-{time.monotonic_ns()}.log"
    with open(log, "wb") as output:
        running = subprocess.Popen(command, env=around, cwd=directory, stdout=output, stderr=output, preexec_fn=end_with_parent)
    try:
        deadline = time.monotonic() + 30
        while "ready" not in log.read_text():
            if running.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the worker did not start: {log.read_text()[-2_000:]}")
            time.sleep(0.05)
        yield running
    finally:
        running.terminate()
        running.wait()


def main(directory, trying, problems):
    with postgres(directory) as sql, redis(directory, REDIS), rabbitmq(directory) as rabbit:
        bells = {"Redis": f"redis://127.0.0.1:{REDIS}", "RabbitMQ": rabbit}
        idle(directory, trying, problems)
        starts(directory, trying, problems, sql, bells)
        fairness(directory, trying, problems, sql, bells["Redis"])
        losses.main(directory, trying, problems, sql, prepare(sql, "losses"), bells["Redis"])
        churn(directory, trying, problems, sql)


def idle(directory, trying, problems):
    """What `rampart up` takes while it has nothing to do."""
    seconds = 5 if trying else 60
    say(f"  {seconds} seconds of an idle installation")
    log = directory / "up.log"
    command = [os.environ["RAMPART"], "up", "--data", directory / "idle", "--listen", "127.0.0.1:0"]
    with open(log, "wb") as output:
        running = subprocess.Popen(command, cwd=directory, stdout=output, stderr=output, preexec_fn=end_with_parent)
    try:
        deadline = time.monotonic() + 30
        while "is up" not in log.read_text():
            if running.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"it did not start: {log.read_text()[-2_000:]}")
            time.sleep(0.05)
        ticks = os.sysconf("SC_CLK_TCK")
        worked = lambda: sum(map(int, open(f"/proc/{running.pid}/stat").read().rpartition(")")[2].split()[11:13])) / ticks
        before = worked()
        time.sleep(seconds)
        share = (worked() - before) / seconds
        status = dict(line.split(":", 1) for line in open(f"/proc/{running.pid}/status") if ":" in line)
        now, most = (int(status[word].split()[0]) * 1024 / 1e6 for word in ("VmRSS", "VmHWM"))
    finally:
        running.terminate()
        running.wait()
    print(f"`rampart up` with nothing to do for {seconds} seconds: {now:.1f} MB of memory, {most:.1f} MB at most, and {100 * share:.1f} % of one processor.\n")
    problems.expect(most < IDLE, f"platform: {most:.1f} MB of memory when idle; less than {IDLE} are wanted")


def starts(directory, trying, problems, sql, bells):
    samples = 50 if trying else 1_000
    rows = []

    def told(name, figure, limit):
        rows.append((name, *(f"{figure[word]:.1f} ms" for word in ("p50", "p99", "most"))))
        problems.expect(figure["p99"] < limit, f"platform: {figure['p99']} ms from the queue to the start, p99, {name}; {limit} are allowed")

    say("  from the queue to the start")
    (figure,) = measured("start", f"sqlite:{directory}/start.db", "none", samples)
    told("in one process, SQLite", figure, START_HERE)
    for name, bell in bells.items():
        url = prepare(sql, f"start_{name.lower()}")
        with worker(directory, url, bell):
            (figure,) = measured("start", url, bell, samples)
        told(f"across processes, PostgreSQL and {name}", figure, START_ACROSS)
    print(f"From the commit of a task to its start in a worker that waits, {number(samples)} single tasks; the time ends when the worker, done with a task that")
    print("does nothing, begins to commit that: a little more than what is asked for.\n")
    table(("", "p50", "p99", "slowest"), rows)


def fairness(directory, trying, problems, sql, bell):
    waiting = 20_000 if trying else 100_000
    places = [1, 64] if trying else [1, 4, 16, 64]
    rows, shares = [], []
    for name, base in (("PostgreSQL and Redis", "postgresql"), ("SQLite, in one process", "sqlite")):
        for times_as_long in (1, 10):
            for at_once in places:
                say(f"  fairness, {name}, {at_once} at a time, {times_as_long} times as long")
                label = f"fairness_{base}_{at_once}_{times_as_long}"
                rounds = 3 if trying else 9 if times_as_long == 1 else 5
                shape = (waiting, at_once, times_as_long, rounds)
                if base == "postgresql":
                    url = prepare(sql, label)
                    with worker(directory, url, bell, "--concurrency", at_once):
                        (figure,) = measured("fairness", url, bell, *shape)
                else:
                    (figure,) = measured("fairness", f"sqlite:{directory}/{label}.db", "none", *shape)
                ratio = figure["beside"] / figure["alone"]
                least = least_beside(at_once, times_as_long) / (-(-FEW // at_once))
                told = (f"{figure[word]:,.0f} ms" for word in ("alone", "beside", "slowest"))
                length = "the same" if times_as_long == 1 else f"{times_as_long} times"
                rows.append((name, at_once, length, *told, f"{ratio:.2f} x", f"{least:.2f} x", number(figure["left"])))
                where = f"{at_once} at a time, {name}"
                if times_as_long == 1:
                    fair = f"platform: a small tenant waits {ratio:.2f} times as long beside a large one, {where}; {least:.2f} is the least possible"
                    problems.expect(ratio <= max(UNFAIR, NEAR * least), fair)
                problems.expect(figure["left"] > 0, f"platform: nothing waited any more, {where}")
        low = prepare(sql, "priorities") if base == "postgresql" else f"sqlite:{directory}/priorities.db"
        (share,) = measured("priorities", low, f"postgres://postgres@127.0.0.1:{POSTGRES}/priorities")
        part = share["low"] / max(share["all"], 1)
        shares.append(f"on {name.split()[0].rstrip(',')} {100 * part:.1f} % from minute {share['first_after_minutes']} on")
        problems.expect(part > 0, f"platform: what is not urgent does not move, {name}")
    print(f"Ten tasks of 100 ms of one tenant, alone and while {number(waiting)} of another wait, of 50 to 150 ms (the same) or ten times that; one worker with")
    print("so many tasks at a time, medians of nine rounds (five where the others take longer); between two rounds the small tenant asks for nothing")
    print("until the large one was served somewhat more tasks than the small one asks for, and before the first of them until it has had what a new tenant has ahead. Nothing is taken from who has it: the least possible is")
    print("what it comes to when every place that becomes free goes to the small tenant.\n")
    heads = ("", "at a time", "the other's take", "alone", "beside", "slowest", "ratio", "least possible", "still waiting")
    table(heads, rows)
    print("An hour of the store's clock in which high priority alone would take everybody's time, and a fifth as many tasks of low priority come: their")
    print("share is " + ", ".join(shares) + ".\n")


def least_beside(places, times_as_long):
    """How long the few take, in lengths of theirs, when they get every place that becomes free: the median of many trials."""
    chance = random.Random(1)
    trials = []
    for _ in range(2_001):
        # What is at work is more likely to be long, and is somewhere in the middle.
        lengths = chance.choices(range(50, 151), weights=range(50, 151), k=places)
        free = [length / 100 * times_as_long * chance.random() for length in lengths]
        heapq.heapify(free)
        ends = [heapq.heapreplace(free, free[0] + 1) + 1 for _ in range(FEW)]
        trials.append(max(ends))
    return median(trials)


def churn(directory, trying, problems, sql):
    tasks = 24_000 if trying else 360_000
    rows = []
    for name, url in (("PostgreSQL", prepare(sql, "churn")), ("SQLite", f"sqlite:{directory}/churn.db")):
        say(f"  churn on {name}")
        if name == "PostgreSQL":
            # The hour passes in about a minute, so what looks once a minute looks once a second.
            sql("ALTER SYSTEM SET autovacuum_naptime = '1s'")
            sql("SELECT pg_reload_conf()")
        figures = []
        for figure in measured("churn", url, tasks):
            figures.append(figure)
            size = space(sql) if name == "PostgreSQL" else ("", "", f"{(directory / 'churn.db').stat().st_size / 1e6:.0f} MB", "")
            if figure["done"] % (tasks // 6) == 0 or len(figures) == 1:
                costs = (f"{figure['claim_p50']:.1f} ms", f"{figure['claim_p99']:.1f} ms")
                rows.append((name, number(figure["done"]), number(figure["per_second"]), *costs, number(figure["forgotten"]), *size))
        first, last = (median(figure["claim_p50"] for figure in some) for some in (figures[:3], figures[-3:]))
        problems.expect(last <= FLAT * first, f"platform: a claim on {name} takes {first} ms at first and {last} ms after {number(tasks)} tasks")
    print(f"{number(tasks)} tasks (an hour at 100 a second) asked for, claimed and completed, 100 in a transaction, as fast as it goes, while 10,000 wait; what")
    print("has ended is forgotten six times, as in ten minutes each. The hour passes in about a minute, so autovacuum looks every second, not every minute.\n")
    table(("", "tasks done", "a second", "claim p50", "claim p99", "forgotten", "live rows", "dead rows", "table", "indexes"), rows)


def space(sql):
    """Rows and sizes of the tasks, by pgstattuple when there is one."""
    sql("CREATE EXTENSION IF NOT EXISTS pgstattuple", "churn")
    live, dead, heap, indexes = sql(
        "SELECT tuple_count, dead_tuple_count, pg_table_size('rampart.tasks'), pg_indexes_size('rampart.tasks') "
        "FROM pgstattuple('rampart.tasks')",
        "churn",
    ).split("|")
    return number(int(live)), number(int(dead)), f"{int(heap) / 1e6:.0f} MB", f"{int(indexes) / 1e6:.0f} MB"
