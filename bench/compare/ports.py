"""Open ports of one host: by connect on loopback, and across a link that loses packets."""

import json
import random
import re
import subprocess
from contextlib import contextmanager
from itertools import chain

from measure import in_turns, megabytes, number, rampart, run, say, seconds, table, times
from servers import listeners

HOST = "127.92.0.1"
NEAR, FAR = "10.92.0.1", "10.92.0.2"
# Ports that Rampart leaves out by default (printers, industrial controllers) are no place for listeners of a comparison.
FRAGILE = {102, 502, 515, 631, 789, 1911, 1962, 2404, 4840, 4911, 5006, 5007, 5094, 9600, *range(9100, 9108)}
FRAGILE |= {18245, 18246, 20000, 20547, 44818, 47808}
NO_CAP = 100_000_000


def of_rampart(run_):
    assets = json.loads(run_.output)["assets"]
    return set(chain.from_iterable(asset["ports"]["open"] for asset in assets if asset["kind"] == "host"))


def of_nmap(run_):
    return {int(port) for port in re.findall(r"[ \t](\d+)/open/", run_.output)}


def of_rustscan(run_):
    lists = re.findall(r"-> \[([\d, ]*)\]", run_.output)
    return {int(port) for port in re.findall(r"\d+", " ".join(lists))}


READERS = {"rampart": of_rampart, "nmap": of_nmap, "rustscan": of_rustscan}


def commands(address, last, scope=()):
    asked = "all" if last == 65_535 else f"1-{last}"
    options = ("--stages", "ports", "--ports", asked, "--no-identify", "--probe-rate", NO_CAP)
    return {
        "rampart": rampart(address, *options, *scope),
        "nmap": ["nmap", "-sT", "-T5", f"-p1-{last}", "-n", "-Pn", "--open", "-oG", "-", address],
        "rustscan": ["rustscan", "-a", address, "-r", f"1-{last}", "--ulimit", 65_535, "--no-config", "-g"],
    }


def compare(address, last, truth, rounds, scope=()):
    """Runs of each tool, and the ports that each missed and made up, over all rounds."""
    say(f"  {number(last)} ports of {address}")
    runs = in_turns(rounds, {name: lambda c=command: run(c) for name, command in commands(address, last, scope).items()})
    found = {name: [READERS[name](one) for one in runs_] for name, runs_ in runs.items()}
    return runs, found


def described(sets, truth):
    """Missed and made up, in all rounds together."""
    missed = sum(len(truth - found) for found in sets)
    false = sum(len(found - truth) for found in sets)
    return missed, false


def loopback(trying, rounds, problems):
    chance = random.Random(92)
    usual = sorted(set(range(1, 32_768)) - FRAGILE)
    # The kernel takes source ports from this range: a port there can look open only because the scan sits on it.
    ephemeral = sorted(set(range(32_768, 61_000)) - FRAGILE)
    ports = chance.sample(usual[:1_000], 8) + chance.sample(usual[1_000:7_900], 6) + chance.sample(usual[7_900:], 6)
    ports += chance.sample(ephemeral, 20)
    print(f"TCP connect to every port of {HOST}, {len(ports)} of which have a listener, 20 of them in the ephemeral range.\n")
    growth = []
    with listeners(HOST, sorted(ports)):
        for last in (1_000, 8_000, 65_535):
            truth = {port for port in ports if port <= last}
            runs, found = compare(HOST, last, truth, rounds, ())
            growth.append((last, runs))
            missed, false = described(found["rampart"], truth)
            problems.expect(missed == 0 and false == 0, f"ports: rampart missed {missed} and made up {false} of {last}")
    ours = runs["rampart"]
    rows = []
    for name, runs_ in runs.items():
        missed, false = described(found[name], truth)
        rows.append(
            (name, seconds(runs_.seconds), runs_.spread, times(runs_.seconds, ours.seconds), megabytes(runs_.megabytes))
            + (seconds(runs_.processor), missed, false)
        )
    heads = ("65,535 ports", "median", "range", "time / rampart", "peak memory", "processor", "missed", "made up")
    table(heads, rows)
    print(f"Missed and made up: summed over {rounds} rounds. Rampart leaves {len(FRAGILE)} fragile ports out by default; none has a listener.\n")
    growth_rows = [
        (name, *chain.from_iterable((seconds(runs[name].seconds), megabytes(runs[name].megabytes)) for _, runs in growth))
        for name in READERS
    ]
    table(("growth", *chain.from_iterable((f"{number(last)} ports", "") for last, _ in growth)), growth_rows)
    problems.expect(ours.megabytes < 64, f"ports: rampart took {ours.megabytes:.0f} MB, 64 are allowed")
    for name in ("nmap", "rustscan"):
        problems.expect(ours.seconds < runs[name].seconds, f"ports: rampart was slower than {name}")


@contextmanager
def lossy_link(percent):
    """Two ends of a virtual link, the far one in a network namespace of its own. Packets are lost both ways: by netem, or, where the
    kernel has none, by a rule that drops them on arrival. Says which."""

    def ip(text):
        subprocess.run(["ip", *text.split()], check=True)

    def lose(*within):
        netem = ["tc", "qdisc", "add", "dev", "bench", "root", "netem", "loss", f"{percent}%"]
        if subprocess.run([*within, *netem], capture_output=True).returncode == 0:
            return "netem"
        rules = "add table ip bench; add chain ip bench arrive { type filter hook input priority 0; }; "
        rules += f"add rule ip bench arrive iifname bench numgen random mod 100 < {percent} drop"
        subprocess.run([*within, "nft", rules], check=True)
        return "nftables, for want of netem in this kernel"

    ip("netns add bench-far")
    try:
        ip("link add bench type veth peer name bench netns bench-far")
        ip(f"addr add {NEAR}/24 dev bench")
        ip("link set bench up")
        ip(f"-n bench-far addr add {FAR}/24 dev bench")
        ip("-n bench-far link set bench up")
        ip("-n bench-far link set lo up")
        with listeners_behind():
            lose()
            yield lose("ip", "netns", "exec", "bench-far")
    finally:
        ip("netns delete bench-far")


LOSSY_PORTS = random.Random(5).sample(sorted(set(range(1, 2_001)) - FRAGILE), 20)


def listeners_behind():
    return listeners(FAR, sorted(LOSSY_PORTS), ("ip", "netns", "exec", "bench-far"))


def with_loss(directory, rounds, problems):
    scope = directory / "scope.toml"
    scope.write_text(f'authorised_by = "the benchmark"\nnetworks = ["{FAR}/32"]\n')
    truth = set(LOSSY_PORTS)
    with lossy_link(5) as means:
        runs, found = compare(FAR, 2_000, truth, rounds, ("--scope", scope))
    rows = []
    for name, runs_ in runs.items():
        recall = [len(one & truth) / len(truth) for one in found[name]]
        _, false = described(found[name], truth)
        mean = f"{100 * sum(recall) / len(recall):.1f} %"
        rows.append((name, mean, f"{100 * min(recall):.0f} %", false, seconds(runs_.seconds), megabytes(runs_.megabytes)))
    print(f"Across a virtual link that loses 5 % of the packets each way (by {means}): 2,000 ports, 20 open, the others refuse.\n")
    table(("5 % loss", "recall", "worst round", "made up", "median", "peak memory"), rows)
    missed, false = described(found["rampart"], truth)
    problems.expect(missed == 0 and false == 0, f"ports with loss: rampart missed {missed} and made up {false}")


def main(directory, trying, problems):
    rounds = 1 if trying else 5
    loopback(trying, rounds, problems)
    with_loss(directory, rounds, problems)
