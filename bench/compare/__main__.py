"""Runs the comparisons that are named, or all. Started by `bench/run`, within a network namespace of its own."""

import contextlib
import datetime
import io
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import checks
import crawl
import findings
import gateway
import installation
import names
import ports
import targets
import tasks
import torture
from measure import Problems, load, say, version

COMPARISONS = {
    "ports": ports, "names": names, "crawl": crawl, "checks": checks, "targets": targets, "tasks": tasks, "findings": findings, "gateway": gateway, "platform": installation, "torture": torture,
}
RESULTS = Path("bench/RESULTS.md")
MISSED = "Targets missed"


def machine():
    model = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    memory = int(open("/proc/meminfo").readline().split()[1]) / (1 << 20)
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, Linux {platform.release().split('-')[0]}"


def commit():
    def git(*words):
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{RESULTS}")
    return git("rev-parse", "--short", "HEAD") + (", with changes that are not committed" if changed else "")


def head():
    peers = {
        "nmap": ["nmap", "--version"],
        "RustScan": ["rustscan", "--version"],
        "gobuster": ["gobuster", "version"],
        "wget": ["wget", "--version"],
        "spider_cli": ["spider", "--version"],
        "knot": ["knotd", "--version"],
        "nginx": ["nginx", "-v"],
        "PostgreSQL": ["psql", "--version"],
        "Redis": ["redis-server", "--version"],
        "RabbitMQ": ["dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"],
        "wrk": ["wrk", "-v"],
        "FastAPI": ["target/bench-peers/fastapi/bin/python", "-c", "import fastapi; print(fastapi.__version__)"],
        "Celery": ["target/bench-peers/celery/bin/celery", "--version"],
    }
    print("# Rampart beside other tools\n")
    print("Printed by `bench/run`; each section says when, at which commit, and on which machine.\n")
    print("Servers and clients share the cores of one machine.\n")
    print("Versions: " + ", ".join(f"{name} {version(command)}" for name, command in peers.items() if shutil.which(command[0])) + ".\n")
    print("Times are medians of wall time, memory is the highest peak of all rounds (GNU time); rounds take turns. What a tool")
    print("found is compared with what is there, name by name, not by count. Everything is in a network namespace with loopback only.\n")


def printed(work, *arguments):
    """What it prints, which is printed when it is done."""
    lines = io.StringIO()
    with contextlib.redirect_stdout(lines):
        work(*arguments)
    print(lines.getvalue(), end="", flush=True)
    return lines.getvalue()


def section(name, trying, problems):
    print(f"## {name.capitalize()}\n")
    print(f"On {datetime.date.today()}, at commit {commit()}, with {machine()}. Load when it began: {load()}.\n")
    with tempfile.TemporaryDirectory(prefix=f"rampart-bench-{name}-") as directory:
        COMPARISONS[name].main(Path(directory), trying, problems)


def missed(problems):
    print(f"## {MISSED}\n")
    print("\n".join(f"- {problem}" for problem in problems) or "None.")


def write(beginning, sections, problems):
    """Puts what was measured in the place of what was; the other sections stay, and what they missed."""
    there = {}
    for text in RESULTS.read_text().split("\n## ")[1:]:
        title, _, rest = text.partition("\n")
        there[title] = f"## {title}\n{rest.rstrip()}\n\n"
    there |= {name.capitalize(): text.rstrip() + "\n\n" for name, text in sections.items()}
    before = [line[2:] for line in there.get(MISSED, "").splitlines() if line.startswith("- ")]
    kept = [line for line in before if line.partition(":")[0] not in sections]
    text = beginning + "".join(there.get(name.capitalize(), "") for name in COMPARISONS)
    with contextlib.redirect_stdout(io.StringIO()) as lines:
        missed(kept + problems)
    RESULTS.write_text(text + lines.getvalue())


def main():
    words = sys.argv[1:]
    trying, writing = "--try" in words, "--write" in words
    chosen = [word for word in words if word not in ("--try", "--write")] or list(COMPARISONS)
    unknown = [word for word in chosen if word not in COMPARISONS]
    if unknown:
        sys.exit(f"`{unknown[0]}` is no comparison: choose from {' '.join(COMPARISONS)}")
    if trying and writing:
        sys.exit("`--try` says nothing that is worth to be written: leave `--write` out")
    problems, sections = Problems(), {}
    beginning = printed(head)
    for name in chosen:
        say(f"{name} (load {load()})")
        sections[name] = printed(section, name, trying, problems)
        if writing:
            # What was measured is kept, whatever becomes of the rest.
            write(beginning, sections, problems)
    missed(problems)
    sys.exit(1 if problems else 0)


main()
