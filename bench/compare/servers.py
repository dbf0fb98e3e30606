"""Servers of the benchmark's own. They end with the block that started them, and with the process that ran it."""

import ctypes
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT = 30


def end_with_parent():
    """Asks the kernel for SIGTERM when the parent ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextmanager
def process(command, ready, log=None):
    """Runs a server until the block ends. `ready` says whether it answers."""
    output = open(log, "wb") if log else subprocess.DEVNULL
    server = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, preexec_fn=end_with_parent)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            if server.poll() is not None or time.monotonic() > deadline:
                said = Path(log).read_text(errors="replace")[-2_000:] if log else ""
                raise SystemExit(f"`{command[0]}` did not start: {said}")
            time.sleep(0.02)
        yield server
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def accepts(address, port):
    """A readiness test: does the port accept a connection?"""

    def test():
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((address, port)) == 0

    return test


@contextmanager
def listeners(address, ports, within=()):
    """Ports that accept connections and close them at once. `within` is put in front of the command, such as `ip netns exec`."""
    program = Path(__file__).with_name("listeners.py")
    command = [*within, sys.executable, program, address, ",".join(map(str, ports))]
    ready = accepts(address, ports[-1])
    with process(command, ready) as server:
        yield server


@contextmanager
def nginx(directory, settings, ready):
    """nginx with one worker process; `settings` goes into its http block. Its access log is `access.log`, one line for each
    request: status, host and path."""
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"""
        daemon off;
        worker_processes 1;
        worker_rlimit_nofile 20000;
        pid {directory}/nginx.pid;
        error_log {directory}/error.log crit;
        events {{ worker_connections 16384; }}
        http {{
            default_type text/plain;
            include /etc/nginx/mime.types;
            sendfile on;
            tcp_nodelay on;
            keepalive_requests 1000000;
            keepalive_timeout 20s;
            server_names_hash_max_size 4096;
            client_body_temp_path {directory}/body;
            proxy_temp_path {directory}/proxy;
            fastcgi_temp_path {directory}/fastcgi;
            uwsgi_temp_path {directory}/uwsgi;
            scgi_temp_path {directory}/scgi;
            log_format bench '$status $host $request_uri';
            access_log {directory}/access.log bench;
            {settings}
        }}
        """
    )
    # The worker runs as somebody else, who must be able to read the files.
    directory.chmod(0o755)
    with process(["nginx", "-p", directory, "-c", configuration], accepts(*ready), directory / "nginx.log") as server:
        yield server


class AccessLog:
    """What a server was asked since the last look."""

    def __init__(self, directory):
        self.path = directory / "access.log"
        self.offset = 0

    def since(self):
        """Lines of (status, host, path)."""
        with open(self.path, errors="replace") as log:
            log.seek(self.offset)
            lines = log.read()
            self.offset = log.tell()
        return [tuple(line.split(" ", 2)) for line in lines.splitlines()]


def answers(address, port, name):
    """A readiness test: does the name server answer about a name?"""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query = struct.pack(">HHHHHH", 0x5292, 0, 1, 0, 0, 0) + question + struct.pack(">HH", 6, 1)

    def test():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.5)
            try:
                probe.connect((address, port))
                probe.send(query)
                answer = probe.recv(512)
            except OSError:
                return False
            return answer[:2] == query[:2] and answer[3] & 15 == 0 and answer[6:8] != b"\0\0"

    return test


@contextmanager
def knot(directory, address, port, zones):
    """knotd with one UDP worker. `zones` maps names of zones to their records, without SOA and NS."""
    parts = []
    for zone, records in zones.items():
        file = directory / f"{zone}.zone"
        head = f"$ORIGIN {zone}.\n$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A {address}\n"
        file.write_text(head + "\n".join(records) + "\n")
        parts.append(f"  - domain: {zone}\n    file: {file}\n    zonefile-sync: -1\n    journal-content: none\n")
    (directory / "state").mkdir()
    configuration = directory / "knot.conf"
    configuration.write_text(
        f"server:\n  listen: {address}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
        f"  rundir: {directory}/state\n"
        f"database:\n  storage: {directory}/state\n"
        "log:\n  - target: stderr\n    any: error\n"
        "zone:\n" + "".join(parts)
    )
    ready = answers(address, port, list(zones)[-1])
    with process(["knotd", "-c", configuration], ready, directory / "knot.log") as server:
        yield server
