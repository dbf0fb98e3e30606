"""What becomes of a gateway that is asked for three times what it carries, by somebody whom its answers do not slow down."""

import json
import os
import resource
import subprocess

from measure import number, say

TIMES = 3
# Room for what is answered at once, for those who are told to come again, and for what the machine is late with.
CONNECTIONS = 3_000
ANSWERED, REFUSED_WITHIN = 0.85, 100


def requests(file, port, paths, key, addresses):
    """Whole requests, as they are sent."""
    with open(file, "w", newline="") as text:
        for place, path in enumerate(paths):
            text.write(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
                f"X-Forwarded-For: 192.0.2.{place % addresses + 1}\r\n\r\n"
            )


def taken():
    """Seconds of processors that programs took which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pour(directory, port, paths, key, addresses, rate, seconds):
    file = directory / "requests"
    requests(file, port, paths, key, addresses)
    command = [os.environ["POUR"], f"127.0.0.1:{port}", round(rate), seconds, CONNECTIONS, file]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the load was not poured: {done.stderr[-2_000:]}")
    said = json.loads(done.stdout)
    say(f"    {said}")
    return said


def main(directory, port, paths, key, addresses, measured, trying, problems):
    """Pours on a gateway that carries so many requests a second beside a generator that takes so much of the processors, and says in a few
    sentences what came of it."""
    carried, generating = measured
    seconds = 2 if trying else 15
    say(f"  three times {carried:.0f} a second")
    before = taken()
    said = pour(directory, port, paths, key, addresses, TIMES * carried, seconds)
    pouring = (taken() - before) / seconds
    left = os.cpu_count() - pouring, os.cpu_count() - generating
    answered = said["answers"].pop("200", {"count": 0, "p50_ms": 0, "p99_ms": 0})
    told = {status: said["answers"].pop(status) for status in ("503", "429") if status in said["answers"]}
    shed = sum(answers["count"] for answers in told.values())
    slowest = max((answers["p99_ms"] for answers in told.values()), default=0)
    middle = max((answers["p50_ms"] for answers in told.values()), default=0)
    share = answered["count"] / seconds / carried
    problems.expect(not said["answers"], f"gateway: poured on, it also answered {said['answers']}")
    lost = said["broken"] + said["closed"] + said["unanswered"]
    problems.expect(lost == 0, f"gateway: poured on, {said['broken'] + said['closed']} connections ended and {said['unanswered']} requests had no answer")
    forgotten = shed - sum(answers["retry_after"] for answers in told.values())
    problems.expect(forgotten == 0, f"gateway: {forgotten} of {shed} who were refused were not told when to come again")
    if not trying:
        problems.expect(share >= ANSWERED, f"gateway: asked for {TIMES} times what it carries, it answers {share:.2f} of that; {ANSWERED} are wanted")
        problems.expect(slowest <= REFUSED_WITHIN, f"gateway: p99 of a refusal {slowest:.0f} ms when {TIMES} times as much is asked for; {REFUSED_WITHIN} ms are wanted")
    per_core = share / (left[0] / left[1])
    return (
        f"Asked for {number(TIMES * carried)} tasks a second by PostgreSQL, {TIMES} times what it carries, for {seconds} s by a generator that does not wait for\n"
        f"answers (one thread, {number(CONNECTIONS)} connections, on the same cores, which do not send as much from memory): {number(answered['count'] / seconds)} a second are\n"
        f"answered, {share:.2f} of what it carries, p50 {answered['p50_ms']:.0f} ms, p99 {answered['p99_ms']:.0f} ms; {number(shed / seconds)} a second are told when to come again,\n"
        f"p50 {middle:.0f} ms, p99 {slowest:.0f} ms; for {number(said['unsent'] / seconds)} a second there was no connection. Requests went out up to {said['late_p99_ms']:.0f} ms late (p99), which is counted.\n"
        f"So much load takes processors itself: the generator leaves {left[0]:.2f} of {os.cpu_count()}, where wrk left {left[1]:.2f}; for each that is left {per_core:.2f} of what it\n"
        f"carried there is answered.\n"
    )
