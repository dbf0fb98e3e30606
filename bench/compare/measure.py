"""Runs commands under GNU time, in rounds that take turns, and keeps what they printed."""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

LONGEST = 1_800


@dataclass
class Run:
    """One run of one command."""

    seconds: float
    kilobytes: int
    processor: float
    status: int
    output: str
    errors: str


class Runs(list):
    """The runs of one command, one a round."""

    @property
    def seconds(self):
        return median(run.seconds for run in self)

    @property
    def spread(self):
        return f"{min(run.seconds for run in self):.2f} to {max(run.seconds for run in self):.2f}"

    @property
    def megabytes(self):
        """The highest peak of all rounds."""
        return max(run.kilobytes for run in self) / 1024

    @property
    def processor(self):
        return median(run.processor for run in self)


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, directory=None):
    """Wall time is taken around GNU time, whose own clock counts hundredths; memory and processor time are what it says."""
    with tempfile.NamedTemporaryFile("r", prefix="rampart-bench-time-") as figures:
        timed = ["/usr/bin/time", "-q", "-f", "%M %U %S", "-o", figures.name, *map(str, command)]
        begin = time.perf_counter()
        done = subprocess.run(
            timed, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=LONGEST
        )
        seconds = time.perf_counter() - begin
        kilobytes, user, system = figures.read().split()[-3:]
    return Run(seconds, int(kilobytes), float(user) + float(system), done.returncode, done.stdout, done.stderr)


def in_turns(rounds, commands):
    """Runs every command once a round, so that what disturbs the machine disturbs all. `commands` maps names to functions that
    return a Run; the order is turned round by round."""
    runs = {name: Runs() for name in commands}
    names = list(commands)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            result = commands[name]()
            say(f"    {name}: {result.seconds:.2f} s, {result.kilobytes / 1024:.0f} MB, exit {result.status}")
            runs[name].append(result)
    return runs


def rampart(*arguments):
    """Rampart, as it was just built. Nothing is found at a severity above critical: status 1 never means a finding here."""
    return [os.environ["RAMPART"], "scan", *map(str, arguments), "--format", "json"]


def table(heads, rows):
    """Prints a markdown table; every column after the first is aligned to the right."""
    print("| " + " | ".join(heads) + " |")
    print("| --- |" + " ---: |" * (len(heads) - 1))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def number(value):
    return f"{value:,.0f}"


def seconds(value):
    return f"{value:.2f} s" if value < 100 else f"{value:.0f} s"


def megabytes(value):
    return f"{value:.0f} MB"


def times(value, of):
    """How many times as long (or as much) as `of`."""
    return f"{value / of:.2f} x"


def version(command, pattern=r"\d+\.\d+(?:\.\d+)*"):
    """What a program calls itself."""
    said = subprocess.run(command, capture_output=True, text=True, errors="replace")
    match = re.search(pattern, said.stdout + said.stderr)
    return match.group(0) if match else "unknown"


def load():
    return Path("/proc/loadavg").read_text().split()[0]


class Problems(list):
    """Where Rampart's results were not what they must be, or a target was missed."""

    def expect(self, holds, what):
        if not holds:
            say(f"  PROBLEM: {what}")
            self.append(what)
        return holds
