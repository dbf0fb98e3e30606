"""A long list of targets, streamed: does memory stay where it is?"""

import json

from measure import megabytes, number, rampart, run, say, seconds, table
from servers import nginx

PORT = 8093
NO_CAP = 1_000_000
ONLY = (
    "content-security-policy-missing content-type-options-missing frame-protection-missing referrer-policy-missing nginx wordpress "
    "apache-server-status database-yml dockerfile ds-store git-config htaccess htpasswd mercurial-requires netrc npmrc-token pypirc "
    "rails-master-key spring-actuator-index svn-database"
).split()

# One server answers on every address of 127.92.0.0/15: the namespace has no other addresses. Hosts whose address ends in 0 show their
# repository; every host sets the headers that are looked for, and is an nginx.
SETTINGS = """
    access_log off;
    add_header Content-Security-Policy "default-src 'self'";
    add_header X-Content-Type-Options nosniff;
    add_header X-Frame-Options DENY;
    add_header Referrer-Policy no-referrer;
    server {{ listen 0.0.0.0:{port} backlog=4096; root {directory}/plain; }}
    server {{ listen 0.0.0.0:{port}; server_name ~^127\\.9[23]\\.\\d+\\.\\d*0$; root {directory}/careless; }}
"""


def addresses(count):
    for index in range(count):
        high, low = divmod(index, 254)
        yield f"127.{92 + high // 256}.{high % 256}.{1 + low}"


def main(directory, trying, problems):
    sizes = (100, 1_000) if trying else (1_000, 10_000, 100_000)
    for name in ("plain", "careless"):
        (directory / name).mkdir()
        (directory / name / "index.html").write_text("<!DOCTYPE html><html><head><title>Host</title></head><body>Here</body></html>\n")
    (directory / "careless/.git").mkdir()
    (directory / "careless/.git/config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n")
    rows = []
    with nginx(directory, SETTINGS.format(port=PORT, directory=directory), ("127.92.0.1", PORT)):
        for count in sizes:
            say(f"  {number(count)} targets")
            listed, output = directory / f"targets-{count}.txt", directory / f"report-{count}"
            listed.write_text("".join(f"http://{address}:{PORT}/\n" for address in addresses(count)))
            chosen = [word for check in ONLY for word in ("--only", check)]
            caps = ("--rate", NO_CAP, "--host-rate", NO_CAP)
            one = run(rampart("--list", listed, "--stages", "check", *chosen, "--output", output, *caps))
            say(f"    {one.seconds:.1f} s, {one.kilobytes / 1024:.0f} MB, exit {one.status}")
            summary, found = read(output / "report.json")
            careless = sum(address.endswith("0") for address in addresses(count))
            expected = {"git-config": careless, "nginx": count}
            problems.expect(found == expected, f"targets: found {found}, expected {expected} with {count} targets")
            problems.expect(summary["undetermined_count"] == 0, f"targets: {summary['undetermined_count']} undetermined")
            mb = one.kilobytes / 1024
            problems.expect(mb <= 256, f"targets: {mb:.0f} MB for {count} targets, 256 are allowed")
            rows.append(
                (number(count), number(summary["requests"]), number(summary["shared_requests"]), number(sum(found.values())))
                + (seconds(one.seconds), number(count / one.seconds), number(summary["requests"] / one.seconds), megabytes(mb))
            )
    print(f"A list of web sites, each on an address of its own, with {len(ONLY)} checks; reports to files. One nginx worker answers for all of them. Every")
    print("host has one finding, one in ten has two, and the report names exactly those. One round.\n")
    table(("targets", "requests", "shared", "findings", "time", "targets/s", "requests/s", "peak memory"), rows)


def read(file):
    """The summary, and findings by check; line by line, as the report is written."""
    summary, found = None, {}
    with open(file) as report:
        for line in report:
            if line.startswith('"summary":'):
                summary = json.loads(line.removeprefix('"summary":').rstrip().rstrip(","))
            elif line.startswith('{"fingerprint"'):
                check = json.loads(line.rstrip().rstrip(","))["check"]
                found[check] = found.get(check, 0) + 1
    return summary, found
