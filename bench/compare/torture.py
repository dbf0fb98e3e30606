"""Tasks that each end once, while everything is killed that can be: the test of the product, made long (`crates/rampart/tests/it/torture.rs`)."""

import json
import os
import subprocess

from measure import number, say, table
from servers import end_with_parent

TESTS = {
    "PostgreSQL and Redis": "torture::every_task_ends_once_on_postgresql_with_redis_whatever_is_killed",
    "PostgreSQL and RabbitMQ": "torture::every_task_ends_once_on_postgresql_with_rabbitmq_whatever_is_killed",
}
# The test speaks of itself in lines that begin like this.
TOLD = "torture: "


def tortured(test, tasks):
    """What the test said last, which it says before it judges; and whether it was content."""
    command = [os.environ["TORTURE"], "--exact", test, "--nocapture", "--test-threads=1"]
    around = {**os.environ, "RAMPART_TORTURE_TASKS": str(tasks)}
    told, last = {}, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=around, preexec_fn=end_with_parent) as running:
        for line in running.stdout:
            last = [*last[-20:], line]
            if TOLD in line:
                say(f"    {line.rstrip()}")
                told |= json.loads(line.partition(TOLD)[2])
    if "seed" not in told:
        raise SystemExit("the test did not begin: " + "".join(last))
    return told, running.returncode == 0


def main(directory, trying, problems):
    tasks = 1_500 if trying else 100_000
    rows, blows = [], {}
    for name, test in TESTS.items():
        say(f"  {number(tasks)} tasks on {name}")
        told, content = tortured(test, tasks)
        problems.expect(content, f"torture: not every one of {number(tasks)} tasks ended once on {name}, RAMPART_TORTURE_SEED={told['seed']}")
        blows[name] = told.get("blows", {})
        counted = (told.get(word) for word in ("completed", "ends", "dead", "again"))
        cells = ("?" if count is None else number(count) for count in counted)
        struck = sum(blows[name].values())
        rows.append((name, told["seed"], struck, *cells, f"{told['seconds']:,.0f} s" if "seconds" in told else "?"))
    print(f"{number(tasks)} tasks, three workers of 16 tasks at a time and two orchestrators, behind proxies; until nine tenths of the tasks have ended, somebody")
    print("strikes every 150 to 700 ms. A trigger in the database counts committed ends.\n")
    table(("", "seed", "blows", "completed", "committed ends", "dead", "claimed more than once", "time"), rows)
    kinds = sorted({kind for struck in blows.values() for kind in struck})
    table(("blows", *TESTS), [(kind, *(number(blows[name].get(kind, 0)) for name in TESTS)) for kind in kinds])
