"""Many templates against many virtual hosts: what is sent, and is anything lost by sending identical requests once?"""

import json
import random
import subprocess
from collections import Counter
from pathlib import Path

from measure import in_turns, megabytes, number, rampart, run, say, seconds, table
from servers import AccessLog, knot, nginx

HOST, PORT = "127.92.0.81", 8094
SERVER, DNS_PORT = "127.92.0.54", 5393
NO_CAP = 1_000_000
BUILT_IN = Path("checks")
PUBLIC = Path("../shared/data/templates")

# What a host may serve beside its start page. Everything in here is made up.
FILES = {
    ".git/config": '[core]\n\trepositoryformatversion = 0\n\tbare = false\n[remote "origin"]\n\turl = https://git.bench.test/site.git\n',
    ".env": "APP_ENV=production\nAPP_DEBUG=false\nDB_CONNECTION=mysql\nDB_HOST=db.bench.test\nDB_PASSWORD=made-up\n",
    "docker-compose.yml": "version: '3'\nservices:\n  web:\n    image: nginx:1.22\n    ports:\n      - '80:80'\n",
    "dump.sql": "-- MySQL dump 10.19\n-- Host: localhost\nCREATE TABLE `users` (`id` int);\nINSERT INTO `users` VALUES (1);\n",
    "phpinfo.php": "<html><head><title>phpinfo()</title></head><body><h1>PHP Version 7.4.3</h1><h2>PHP Extension</h2></body></html>\n",
    "swagger.json": '{"swagger": "2.0", "info": {"title": "Shop", "version": "1"}, "paths": {"/items": {"get": {}}}}\n',
    ".htpasswd": "editor:$apr1$madeup00$0123456789abcdefghijk/\n",
    "package-lock.json": '{"name": "shop", "version": "1.0.0", "lockfileVersion": 2, "requires": true, "packages": {}}\n',
    "Dockerfile": "FROM debian:12\nRUN apt-get update\nCOPY . /srv\nCMD [\"/srv/start\"]\n",
    "crossdomain.xml": '<?xml version="1.0"?>\n<cross-domain-policy><allow-access-from domain="*"/></cross-domain-policy>\n',
}
HEADERS = {
    "X-Powered-By": "PHP/7.4.3",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Access-Control-Allow-Origin": "*",
    "Content-Security-Policy": "default-src 'self'",
}
PAGES = [
    "<!DOCTYPE html><html><head><title>Harbour bakery</title></head><body><h1>Bread</h1></body></html>\n",
    '<!DOCTYPE html><html><head><meta name="generator" content="WordPress 6.1"><title>Blog</title>'
    '<link rel="stylesheet" href="/wp-content/themes/plain/style.css"></head><body><p>Posts</p></body></html>\n',
    "<!DOCTYPE html><html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>\n",
    "<!DOCTYPE html><html><head><title>Grafana</title></head><body>Loading Grafana</body></html>\n",
]


def write_hosts(directory, count):
    """nginx settings for the hosts; each serves a few of the files, sets a few of the headers, has one of the start pages."""
    chance, settings = random.Random(50), []
    for host in range(count):
        root = directory / f"host-{host}"
        root.mkdir()
        for name in chance.sample(sorted(FILES), chance.randrange(4)):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(FILES[name])
        listing = host % 10 == 7
        if not listing:
            (root / "index.html").write_text(chance.choice(PAGES))
        headers = chance.sample(sorted(HEADERS), chance.randrange(5))
        settings.append(
            f"server {{ listen {HOST}:{PORT}; server_name {name_of(host)}; root {root};"
            + "".join(f' add_header {header} "{HEADERS[header]}" always;' for header in headers)
            + (" autoindex on;" if listing else "")
            + (" location = /nginx_status { stub_status; }" if host % 12 == 3 else "")
            + " types { text/html html php; text/plain txt env; application/json json; text/xml xml; } }"
        )
    return "\n".join(settings)


def name_of(host):
    return f"host-{host}.vhosts.test"


def ids(path):
    """Template files by the id that stands in them."""
    found = {}
    for file in sorted(path.rglob("*.yaml")):
        if "examples" not in file.parts:
            lines = file.read_text(errors="replace").splitlines()
            line = next((line for line in lines if line.startswith("id:")), None)
            if line:
                found.setdefault(line.removeprefix("id:").strip(), file)
    return found


def choose(directory):
    """The templates, as one directory of links to nothing but files; an id that both sets have stays with the built-in check."""
    built_in = ids(BUILT_IN)
    public = ids(PUBLIC) if PUBLIC.is_dir() else {}
    chosen = {**public, **built_in}
    folder = directory / "templates"
    folder.mkdir()
    for identity, file in chosen.items():
        (folder / f"{identity}.yaml").write_bytes(file.read_bytes())
    return folder, chosen, len(built_in), len(set(public) - set(built_in))


def command(listed, templates):
    caps = ("--rate", NO_CAP, "--host-rate", NO_CAP, "--query-rate", NO_CAP, "--host-connections", 64)
    return rampart(
        "--list", listed, "--stages", "check", "--checks", templates, "--resolver", f"{SERVER}:{DNS_PORT}", *caps
    )


def findings(report):
    """What is found where; twice the same would show."""
    return Counter((one["check"], json.dumps(one["location"], sort_keys=True), one["name"]) for one in report["findings"])


def ended(report):
    """Planned pairs, and those that failed or were skipped."""
    totals = Counter()
    for account in report["summary"]["ledger"].values():
        for key, value in account.items():
            totals[key] += sum(value.values()) if isinstance(value, dict) else value
    return totals


def main(directory, trying, problems):
    rounds = 1 if trying else 3
    hosts = 10 if trying else 50
    folder, chosen, own, public = choose(directory)
    settings = write_hosts(directory, hosts)
    lists = {}
    for count in (hosts // 5, hosts):
        lists[count] = directory / f"hosts-{count}.txt"
        lists[count].write_text("".join(f"http://{name_of(host)}:{PORT}/\n" for host in range(count)))
    records = {"vhosts.test": [f"host-{host} A {HOST}" for host in range(hosts)]}
    with knot(directory, SERVER, DNS_PORT, records), nginx(directory, settings, (HOST, PORT)):
        log = AccessLog(directory)
        measured = {}
        for count, listed in lists.items():
            say(f"  {count} hosts")
            log.since()
            runs = in_turns(rounds, {"rampart": lambda: run(command(listed, folder))})["rampart"]
            requests = len(log.since()) / rounds
            measured[count] = (runs, json.loads(runs[-1].output), requests)
            for one in runs[:-1]:
                same = findings(json.loads(one.output)) == findings(measured[count][1])
                problems.expect(same, "checks: two rounds found different things")
        runs, report, seen = measured[hosts]
        report_totals(report, runs, seen, measured, own, public, problems)
        alone(report, folder, chosen, lists[hosts], trying, problems)


def report_totals(report, runs, seen, measured, own, public, problems):
    summary = report["summary"]
    print(f"{number(own)} built-in checks (`checks/`) and {number(public)} public templates (`../shared/data/templates`, those with other ids), of which")
    print(f"{number(summary['checks'])} run ({len(summary.get('refused_checks', []))} are refused, each with its reason: intrusive, or beyond the language). nginx has one worker; every host")
    print("serves something else. Identical requests of different templates to one host are sent once.\n")
    rows = []
    for count, (runs_, report_, seen_) in measured.items():
        one = report_["summary"]
        implied = one["requests"] + one["shared_requests"]
        saved = one["shared_requests"] / implied
        rows.append(
            (f"{count} hosts", number(implied), number(one["requests"]), number(seen_), f"{100 * saved:.1f} %")
            + (number(len(report_["findings"])), seconds(runs_.seconds), number(one["requests"] / runs_.seconds), megabytes(runs_.megabytes))
        )
        problems.expect(saved >= 0.3, f"checks: only {100 * saved:.1f} % of the requests were saved, 30 % are the target")
        problems.expect(seen_ == one["requests"], f"checks: rampart says {one['requests']} requests, the server saw {seen_:.1f}")
    heads = (f"{number(summary['checks'])} templates", "requests implied", "sent", "seen by nginx", "saved", "findings", "median", "requests/s", "peak memory")
    table(heads, rows)
    totals = ended(report)
    print("Pairs of check and host: " + ", ".join(f"{number(count)} {key.replace('_', ' ')}" for key, count in totals.items()) + ".\n")


def alone(report, folder, chosen, listed, trying, problems):
    """Runs each template by itself: nothing can be shared between templates then, so this is what they find without sharing."""
    files = [folder / f"{identity}.yaml" for identity in sorted(chosen)]
    if trying:
        matched = {one["check"] for one in report["findings"]}
        files = [file for file in files if file.stem in matched][:10] + random.Random(1).sample(files, 20)
    say(f"  {len(files)} templates, each alone")
    found, sent, refused = Counter(), 0, 0
    for file in files:
        done = subprocess.run(list(map(str, command(listed, file))), capture_output=True, text=True)
        if not done.stdout:
            refused += 1
            continue
        one = json.loads(done.stdout)
        found |= findings(one)
        sent += one["summary"]["requests"]
    names = {file.stem for file in files}
    together = Counter({key: count for key, count in findings(report).items() if key[0] in names})
    lost, extra = found - together, together - found
    print(f"Each of {number(len(files))} templates alone ({refused} refused): {number(sent)} requests, {number(sum(found.values()))} findings. Found alone and not together: "
          f"{sum(lost.values())}; together and not alone: {sum(extra.values())}.\n")
    for key in list(lost)[:5] + list(extra)[:5]:
        say(f"    differs: {key}")
    problems.expect(not lost and not extra, f"checks: {sum(lost.values())} findings lost, {sum(extra.values())} made up by sharing")
