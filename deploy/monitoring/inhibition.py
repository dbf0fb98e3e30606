"""Asks an Alertmanager of its own, on loopback, which alerts it holds back while others fire."""

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

PATIENCE = 20
NS = {"namespace": "rampart"}
AWAY = NS | {"alertname": "RampartDatabaseAway", "severity": "page", "area": "database"}
NO_GATEWAY = NS | {"alertname": "RampartNoGatewayReady", "severity": "page", "area": "gateway", "follows": "database"}
STOP = NS | {"alertname": "RampartEmergencyStopHolds", "severity": "info", "area": "queue", "stop": "holds"}
WAIT = NS | {"alertname": "RampartTasksWait", "severity": "ticket", "area": "queue", "follows": "database,gateway,stop", "stage": "check"}
WAIT_LONG = WAIT | {"alertname": "RampartTasksWaitFarTooLong", "severity": "page"}
FAST = NS | {"alertname": "RampartAvailabilityBurnsFast", "severity": "page", "area": "gateway", "slo": "availability", "follows": "database,gateway"}
SLOW = FAST | {"alertname": "RampartAvailabilityBurns", "severity": "ticket"}
LATE = SLOW | {"alertname": "RampartLatencyBurns", "slo": "latency"}
VOLUME = NS | {"alertname": "RampartVolumeFills", "severity": "ticket", "area": "volumes", "persistentvolumeclaim": "database-1"}
FULL = VOLUME | {"alertname": "RampartVolumeIsNearlyFull", "severity": "page"}
ENDS = NS | {"alertname": "RampartCertificateExpires", "severity": "ticket", "area": "certificate", "name": "entry"}
ENDS_SOON = ENDS | {"alertname": "RampartCertificateExpiresSoon", "severity": "page"}
BELL = NS | {"alertname": "RampartDoorbellAway", "severity": "ticket", "area": "doorbell"}
BELL_PART = BELL | {"alertname": "RampartDoorbellNotWhole", "follows": "doorbell"}
DEAD = NS | {"alertname": "RampartPodRestarts", "severity": "ticket", "area": "pods", "pod": "a"}
THEIRS = {"alertname": "RampartDatabaseAway", "severity": "page", "namespace": "other"}

# What fires together, and what of it is held back.
CASES = [
    ("the database is away", [AWAY, NO_GATEWAY, WAIT, WAIT_LONG, FAST, SLOW, DEAD], [NO_GATEWAY, WAIT, WAIT_LONG, FAST, SLOW]),
    ("no gateway is ready", [NO_GATEWAY, FAST, WAIT, DEAD], [FAST, WAIT]),
    ("a stop holds", [STOP, WAIT, FAST], [WAIT]),
    ("who is woken needs no ticket about the same", [FAST, SLOW, LATE], [SLOW]),
    ("the same stage, and another", [WAIT_LONG, WAIT, WAIT | {"stage": "ports"}], [WAIT]),
    ("the same volume, and another", [FULL, VOLUME, VOLUME | {"persistentvolumeclaim": "database-2"}], [VOLUME]),
    ("the same certificate, and another", [ENDS_SOON, ENDS, ENDS | {"name": "other"}], [ENDS]),
    ("the doorbell is away", [BELL, BELL_PART], [BELL_PART]),
    ("another namespace's database", [THEIRS, WAIT], []),
    ("nothing else fires", [WAIT, SLOW, VOLUME], []),
]


def free_port():
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def with_its_share(program):
    """Debian's wants a file below /usr/share. Where the package is only unpacked, it gets a /usr/share of its own."""
    share = Path(program).parent.parent / "share/prometheus/alertmanager"
    if (Path("/usr/share/prometheus/alertmanager")).exists() or not share.exists():
        return []
    own = 'mount -t tmpfs none /usr/share && mkdir /usr/share/prometheus && cp -r "$0" /usr/share/prometheus/ && exec "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", own, str(share)]


@contextlib.contextmanager
def running(program, configuration, scratch):
    """An Alertmanager that inhibits, and tells nobody."""
    silent = configuration | {"receivers": [{"name": one["name"]} for one in configuration["receivers"]]}
    file, port = scratch / "inhibition.yml", free_port()
    file.write_text(yaml.safe_dump(silent, sort_keys=False))
    options = [f"--config.file={file}", f"--storage.path={scratch / 'alertmanager'}", f"--web.listen-address=127.0.0.1:{port}"]
    command = [*with_its_share(program), program, *options, "--cluster.listen-address="]
    with (scratch / "alertmanager.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}/api/v2/alerts"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def ask(url, alerts=None):
    body = None if alerts is None else json.dumps(alerts).encode()
    asked = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
        return json.loads(answer.read() or b"null")


def fires(labels):
    return {"labels": labels, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z"}


def held_back(url, labels, expected):
    """The alerts that are held back, once those are that are expected to be, or nobody's patience is left."""
    until = time.monotonic() + PATIENCE
    while True:
        held = [one["labels"] for one in ask(url) if one["status"]["inhibitedBy"]]
        there = len(ask(url)) == len(labels)
        if there and all(one in held for one in expected) or time.monotonic() > until:
            # Whoever is held back without a reason is soon after.
            time.sleep(0.3)
            return [one["labels"] for one in ask(url) if one["status"]["inhibitedBy"]]
        time.sleep(0.1)


def defects(program, configuration, scratch):
    for name, labels, expected in CASES:
        # Each case has one of its own, so that nothing is left of the case before.
        place = scratch / f"inhibition-{CASES.index((name, labels, expected))}"
        place.mkdir()
        with running(program, configuration, place) as url:
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    ask(url, [fires(one) for one in labels])
                    break
                except (urllib.error.URLError, ConnectionError):
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.1)
            held = held_back(url, labels, expected)
        for one in expected:
            if one not in held:
                yield f"{name}: {one['alertname']} is told, too"
        for one in held:
            if one not in expected:
                yield f"{name}: {one['alertname']} is held back"
