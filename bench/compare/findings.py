"""Findings as workers commit them, with more and more of them known."""

import subprocess
import time

from installation import measured
from measure import number, say, table
from services import ADVISED, POSTGRES, postgres, prepare

FINDINGS = 10_000


def main(directory, trying, problems):
    with postgres(directory, *ADVISED) as sql:
        into_databases(directory, trying, problems, sql)


def into_databases(directory, trying, problems, sql):
    sizes = [1_000] if trying else [10_000, 100_000, 1_000_000]
    rows = []
    for name, url in (("PostgreSQL", prepare(sql, "findings")), ("SQLite", f"sqlite:{directory}/findings.db")):
        say(f"  findings into {name}")
        for figure in measured("findings", url, *sizes):
            new, again = figure["new_per_second"], figure["again_per_second"]
            rows.append((name, number(figure["known"]), number(new), number(again)))
            for what, rate in (("new", new), ("seen again", again)):
                told = f"findings: {number(rate)} findings a second into {name}, {what}, {number(figure['known'])} known; {number(FINDINGS)} are wanted"
                problems.expect(trying or name == "SQLite" or rate >= FINDINGS, told)
        if name == "PostgreSQL":
            known, reference = figure["known"], new
    say("  the same rows by psql")
    copied, inserted = bare(directory, sql, 1_000 if trying else 40_000)
    (directory / "findings.db").unlink()
    print(f"PostgreSQL as docs/operations.md advises ({', '.join(ADVISED)}), otherwise with its defaults: it waits for the disk.\n")
    print("Findings as workers commit them: 20 of each web site with a kilobyte of evidence, up to 256 sites in a transaction, two scans at")
    print("a time; new ones, and ones that an earlier scan had seen, spread over all that are known.\n")
    table(("", "known", "new a second", "seen again a second"), rows)
    print(f"The same rows (finding, evidence, sighting, observation) side by side in one bare table without any key, by psql: COPY {number(copied)} a second,")
    print(f"INSERT of 1,000 rows at a time {number(inserted)}; the store with {number(known)} known has {reference / copied:.2f} and {reference / inserted:.2f} of that.\n")


def bare(directory, sql, count):
    """The last of the findings again, into a table without anything: rows a second by COPY and by INSERT."""
    everything = (
        "SELECT f.*, e.scan_id, e.body AS evidence, e.taken_at, s.unit_key, s.address, o.kind, o.subject, o.looks FROM rampart.findings f "
        "JOIN rampart.evidence e USING (tenant_id, fingerprint) JOIN rampart.sightings s USING (tenant_id, fingerprint) "
        "JOIN rampart.observations o ON o.tenant_id = f.tenant_id AND o.scan_id = e.scan_id AND o.subject = f.fingerprint "
        f"AND o.kind = 'finding' LIMIT {count}"
    )
    sql(f"CREATE TABLE public.bare AS {everything}", "findings")
    rows, inserts = directory / "bare.copy", directory / "bare.sql"
    sql(f"\\copy public.bare TO {rows}", "findings")
    dump = ["pg_dump", "--data-only", "--table", "public.bare", "--rows-per-insert", "1000", f"--file={inserts}"]
    database = f"postgres://postgres@127.0.0.1:{POSTGRES}/findings"
    subprocess.run([*dump, database], check=True, capture_output=True)
    there = int(sql("SELECT count(*) FROM public.bare", "findings"))
    sql("TRUNCATE public.bare", "findings")
    begin = time.perf_counter()
    sql(f"\\copy public.bare FROM {rows}", "findings")
    copied = there / (time.perf_counter() - begin)
    sql("TRUNCATE public.bare", "findings")
    begin = time.perf_counter()
    subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", inserts, database], check=True, capture_output=True)
    inserted = there / (time.perf_counter() - begin)
    sql("DROP TABLE public.bare", "findings")
    return copied, inserted
