"""How long until others take over: a worker killed at work, a leader killed in office."""

import os
import subprocess
import time

from measure import say, table
from servers import end_with_parent

ROUNDS = 5
WORKER_WITHIN, LEADER_WITHIN = 45, 15
LOOK = 0.05


def main(directory, trying, problems, sql, database, doorbell):
    around = {**os.environ, "RAMPART_DATABASE": database, "RAMPART_DOORBELL": doorbell, "RAMPART_LOG": "warn"}
    rampart = os.environ["RAMPART"]
    running = []

    def start(*words):
        process = subprocess.Popen([rampart, *words], env=around, cwd=directory, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)
        running.append(process)
        return process

    def ask(statement):
        return sql(statement, "losses")

    def until(statement, holds):
        deadline = time.monotonic() + 120
        while not holds(answer := ask(statement)):
            if time.monotonic() > deadline:
                raise SystemExit(f"`{statement}` stays at `{answer}`")
            time.sleep(LOOK)
        return time.monotonic()

    rounds = 1 if trying else ROUNDS
    try:
        subprocess.run([rampart, "tenant", "create", "default"], check=True, capture_output=True, env=around, cwd=directory)
        leaders = leaders_lost(rounds, start, ask, until)
        workers = workers_lost(rounds, rampart, around, directory, start, ask, until)
    finally:
        for process in running:
            process.kill()
            process.wait()
    problems.expect(max(workers) <= WORKER_WITHIN, f"platform: {max(workers):.1f} s until the task of a killed worker ran again")
    problems.expect(max(leaders) <= LEADER_WITHIN, f"platform: {max(leaders):.1f} s until another led")
    print(f"Killed by SIGKILL, {rounds} of each, on PostgreSQL and Redis with the leases that workers have by themselves: seconds until the task runs")
    print("again elsewhere, and until another orchestrator leads.\n")
    rows = [(name, f"{min(times):.1f} s", f"{max(times):.1f} s") for name, times in (("worker", workers), ("leader", leaders))]
    table(("killed", "quickest", "slowest"), rows)


def leaders_lost(rounds, start, ask, until):
    """Whoever began first leads, and the next stands by."""
    number = "SELECT coalesce(max(lease_number), 0) FROM rampart.leaders"
    leader = start("orchestrator")
    until(number, lambda answer: int(answer) == 1)
    times = []
    for _ in range(rounds):
        standing_by = start("orchestrator")
        # Long enough for it to ask, and another time of the term each.
        time.sleep(2.3)
        before = int(ask(number))
        leader.kill()
        killed = time.monotonic()
        times.append(until(number, lambda answer: int(answer) > before) - killed)
        say(f"    another leads after {times[-1]:.1f} s")
        leader.wait()
        leader = standing_by
    return times


def workers_lost(rounds, rampart, around, directory, start, ask, until):
    """Each holds one task when it is killed, at another time between two heartbeats; one more waits for what they leave."""
    held = []
    for count in range(1, rounds + 1):
        worker = start("worker", "--stage", "exercise", "--concurrency", "1")
        subprocess.run([rampart, "task", "exercise", "--hold", "3m"], check=True, capture_output=True, env=around, cwd=directory)
        until("SELECT count(*) FROM rampart.tasks WHERE state = 'running'", lambda answer: int(answer) == count)
        newest = "SELECT task_id FROM rampart.tasks WHERE state = 'running' ORDER BY started_at DESC LIMIT 1"
        held.append((worker, ask(newest)))
        time.sleep(1.7)
    start("worker", "--stage", "exercise")
    time.sleep(2)
    killed = {}
    for worker, task in held:
        worker.kill()
        killed[task] = time.monotonic()
    again = "SELECT task_id FROM rampart.tasks WHERE state = 'running' AND lease_number > 1"
    times = {}
    while len(times) < rounds:
        now = time.monotonic()
        for task in ask(again).split():
            if task not in times:
                times[task] = now - killed[task]
                say(f"    a task runs again after {times[task]:.1f} s")
        if now > max(killed.values()) + 120:
            raise SystemExit(f"only {len(times)} of {rounds} tasks run again")
        time.sleep(LOOK)
    return list(times.values())
