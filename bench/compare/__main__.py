"""Runs the comparisons that are named, or all. Started by `bench/run`, within a network namespace of its own."""

import datetime
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import checks
import crawl
import installation
import names
import ports
import targets
import tasks
from measure import Problems, load, say, version

COMPARISONS = {
    "ports": ports, "names": names, "crawl": crawl, "checks": checks, "targets": targets, "tasks": tasks, "platform": installation
}


def machine():
    model = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    memory = int(open("/proc/meminfo").readline().split()[1]) / (1 << 20)
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, Linux {platform.release().split('-')[0]}"


def head():
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
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
        "Celery": ["target/bench-peers/celery/bin/celery", "--version"],
    }
    print("# Rampart beside other tools\n")
    print(f"Printed by `bench/run` on {datetime.date.today()}, at commit {commit}.\n")
    print(f"Machine: {machine()}. Load when it began: {load()}. Servers and clients share the cores.\n")
    print("Versions: " + ", ".join(f"{name} {version(command)}" for name, command in peers.items() if shutil.which(command[0])) + ".\n")
    print("Times are medians of wall time, memory is the highest peak of all rounds (GNU time); rounds take turns. What a tool")
    print("found is compared with what is there, name by name, not by count. Everything is in a network namespace with loopback only.\n")


def main():
    words = sys.argv[1:]
    trying = "--try" in words
    chosen = [word for word in words if word != "--try"] or list(COMPARISONS)
    unknown = [word for word in chosen if word not in COMPARISONS]
    if unknown:
        sys.exit(f"`{unknown[0]}` is no comparison: choose from {' '.join(COMPARISONS)}")
    problems = Problems()
    head()
    for name in chosen:
        say(f"{name} (load {load()})")
        with tempfile.TemporaryDirectory(prefix=f"rampart-bench-{name}-") as directory:
            COMPARISONS[name].main(Path(directory), trying, problems)
    print("## Targets missed\n")
    print("\n".join(f"- {problem}" for problem in problems) or "None.")
    sys.exit(1 if problems else 0)


main()
