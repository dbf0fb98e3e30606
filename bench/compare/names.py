"""Names below a zone, from a word list, asked of one local name server."""

import json
import os
import random
import re

from measure import in_turns, megabytes, number, rampart, run, say, seconds, table, times
from servers import knot

SERVER, PORT = "127.92.0.53", 5392
NO_CAP = 100_000_000
# Of the numbers tried (10 to 1,000) this gave the most names a second here.
GOBUSTER_THREADS = 100
SYLLABLES = "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su".split()


def words(count):
    """Distinct labels that look like names, always the same ones."""
    chance, made = random.Random(53), {}
    while len(made) < count:
        made["".join(chance.choices(SYLLABLES, k=4)) + str(chance.randrange(100))] = None
    return list(made)


def zones(listed):
    """`bench.test`: every tenth word exists, every two hundredth as an alias. `wild.test`: everything exists, and a hundred words
    lead somewhere of their own."""
    chance = random.Random(54)
    real = chance.sample(listed, len(listed) // 10)
    address = lambda index: f"127.92.{16 + index // 250}.{1 + index % 250}"
    bench = [
        f"{word} CNAME {real[index - 1]}" if index % 20 == 19 else f"{word} A {address(index)}"
        for index, word in enumerate(real)
    ]
    own = chance.sample(listed, 100)
    wild = ["* A 127.92.9.9"] + [f"{word} A 127.92.10.{1 + index}" for index, word in enumerate(own)]
    return {"wild.test": wild, "bench.test": bench}, set(real), set(own)


def of_rampart(output, zone):
    names = {asset["name"] for asset in json.loads(output)["assets"] if asset["kind"] == "domain"}
    labels = {name.removesuffix("." + zone) for name in names if name.endswith("." + zone)}
    return labels - {"ns"}


def of_gobuster(output, zone):
    return {name.lower().removesuffix("." + zone) for name in re.findall(r"Found: (\S+)", output)}


def commands(zone, file):
    return {
        "rampart": rampart(
            zone, "--resolver", f"{SERVER}:{PORT}", "--words", file, "--stages", "discover", "--query-rate", NO_CAP
        ),
        "gobuster": ["gobuster", "dns", "-d", zone, "-r", f"{SERVER}:{PORT}", "-w", file, "-t", GOBUSTER_THREADS, "-q"]
        + ["-z", "--no-color", "--wildcard"],
    }


READERS = {"rampart": of_rampart, "gobuster": of_gobuster}


def engine(file):
    return [os.environ["RESOLVE_BULK"], f"{SERVER}:{PORT}", file]


def compare(zone, file, rounds, with_engine):
    asked = commands(zone, file)
    if with_engine:
        asked["engine"] = engine(with_engine)
    return in_turns(rounds, {name: lambda c=command: run(c) for name, command in asked.items()})


def main(directory, trying, problems):
    rounds = 1 if trying else 5
    most = 5_000 if trying else 100_000
    listed = words(most)
    records, real, own = zones(listed)
    print(f"{number(most)} words in front of `bench.test`, {number(len(real))} of which exist, one in twenty of those as an alias. One knot server")
    print("with one UDP worker. Rampart also asks for the records of every name it finds, gobuster for addresses only. `engine` is the")
    print("same list through Rampart's resolver alone (`crates/scanner/examples/resolve_bulk.rs`): one question a name.\n")
    with knot(directory, SERVER, PORT, records):
        growth = []
        for count in (most // 100, most // 10, most):
            part = listed[:count]
            file, full = directory / f"words-{count}.txt", directory / f"names-{count}.txt"
            file.write_text("\n".join(part) + "\n")
            full.write_text("\n".join(f"{word}.bench.test" for word in part) + "\n")
            say(f"  {number(count)} words")
            runs = compare("bench.test", file, rounds, full)
            growth.append((count, runs))
            truth = real & set(part)
            check(runs, truth, real, count, problems)
        rows = []
        for name, runs_ in runs.items():
            missed, false = differences(name, runs_, truth, real)
            rows.append(
                (name, number(most / runs_.seconds), seconds(runs_.seconds), runs_.spread)
                + (times(runs_.seconds, runs["rampart"].seconds), megabytes(runs_.megabytes), seconds(runs_.processor), missed, false)
            )
        heads = (f"{number(most)} words", "names/s", "median", "range", "time / rampart", "peak memory", "processor", "missed", "made up")
        table(heads, rows)
        growth_rows = [
            (name, *(cell for _, runs in growth for cell in (seconds(runs[name].seconds), megabytes(runs[name].megabytes))))
            for name in runs
        ]
        table(("growth", *(head for count, _ in growth for head in (f"{number(count)} words", ""))), growth_rows)
        wildcard(file, own, rounds, problems)


def differences(name, runs, truth, exist):
    """Missed of the words asked, and names told that do not exist. That an alias leads to a word not asked is no invention."""
    if name == "engine":
        # Says how many there are, not which: the numbers must be exact in every round.
        counts = [int(re.search(r"(\d+) found", one.output).group(1)) for one in runs]
        return sum(max(0, len(truth) - count) for count in counts), sum(max(0, count - len(truth)) for count in counts)
    found = [READERS[name](one.output, "bench.test") for one in runs]
    return sum(len(truth - one) for one in found), sum(len(one - exist) for one in found)


def check(runs, truth, real, count, problems):
    for name in ("rampart", "engine"):
        missed, false = differences(name, runs[name], truth, real)
        problems.expect(missed == 0 and false == 0, f"names: {name} missed {missed} and made up {false} of {count}")
    for one in runs["rampart"]:
        undetermined = json.loads(one.output)["summary"]["undetermined_count"]
        problems.expect(undetermined == 0, f"names: rampart could not determine {undetermined} names")
    for one in runs["engine"]:
        tail = one.output.splitlines()[1:2]
        problems.expect(tail == [f"{len(truth)} found, 0 empty, {count - len(truth)} missing, 0 referred, 0 undetermined"], f"names: {tail}")
    if count >= 100_000:
        for name in ("rampart", "engine"):
            rate = count / runs[name].seconds
            problems.expect(rate > 65_000, f"names: {name} did {number(rate)} names/s, the fastest known tool did 65,000 here")
            problems.expect(runs[name].megabytes < 45, f"names: {name} took {runs[name].megabytes:.0f} MB, the fastest known tool 45")
        problems.expect(runs["rampart"].seconds < runs["gobuster"].seconds, "names: rampart was slower than gobuster")


def wildcard(file, own, rounds, problems):
    say("  a zone in which every name exists")
    count = len(file.read_text().split())
    runs = compare("wild.test", file, rounds, None)
    print(f"`wild.test`, where a wildcard answers every name and {len(own)} of the {number(count)} words have an address of their own:\n")
    rows = []
    for name, runs_ in runs.items():
        found = [READERS[name](one.output, "wild.test") for one in runs_]
        missed, false = max(len(own - one) for one in found), max(len(one - own) for one in found)
        rows.append((name, seconds(runs_.seconds), megabytes(runs_.megabytes), missed, number(false)))
        if name == "rampart":
            problems.expect(missed == 0 and false == 0, f"names: rampart missed {missed} and made up {false} below a wildcard")
    table(("wildcard", "median", "peak memory", "missed", "made up"), rows)
    print("gobuster refuses such a zone unless told to go on (`--wildcard`).\n")
