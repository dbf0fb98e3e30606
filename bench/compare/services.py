"""PostgreSQL, Redis and RabbitMQ of the benchmark's own, on loopback. PostgreSQL has its defaults, unless somebody asks for more, and
waits for the disk."""

import os
import pwd
import subprocess
from contextlib import contextmanager
from pathlib import Path

from servers import accepts, process

POSTGRES, REDIS, RABBITMQ = 5499, 6399, 5699
# docs/operations.md, "What the server is given".
ADVISED = ("max_wal_size=8GB", "wal_compression=on")


@contextmanager
def postgres(directory, *settings):
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    data = directory / "postgres"
    data.mkdir()
    user = pwd.getpwnam("postgres")
    os.chown(data, user.pw_uid, user.pw_gid)
    directory.chmod(0o755)
    as_postgres = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "env", "LC_ALL=C.UTF-8"]
    subprocess.run([*as_postgres, programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres"], check=True, capture_output=True)
    command = [*as_postgres, programs / "postgres", "-D", data, "-p", POSTGRES, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    command += [word for setting in settings for word in ("-c", setting)]

    def ready():
        return subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(POSTGRES)]).returncode == 0

    with process(command, ready, directory / "postgres.log"):
        yield lambda sql, base="postgres": subprocess.run(
            ["psql", "-XqAt", f"postgres://postgres@127.0.0.1:{POSTGRES}/{base}", "-c", sql], check=True, capture_output=True, text=True
        ).stdout.strip()


@contextmanager
def redis(directory, port):
    place = directory / f"redis-{port}"
    place.mkdir()
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", place, "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    with process(command, accepts("127.0.0.1", port)):
        yield


def prepare(sql, base):
    """A database of Rampart's: how the user `app` reaches it."""
    sql(f"CREATE DATABASE {base}")
    if sql("SELECT count(*) FROM pg_roles WHERE rolname = 'app'") == "0":
        sql("CREATE ROLE app LOGIN")
    owner = f"postgres://postgres@127.0.0.1:{POSTGRES}/{base}"
    subprocess.run([os.environ["RAMPART"], "migrate", "--database", owner, "--grant-to", "app"], check=True, capture_output=True)
    return f"postgres://app@127.0.0.1:{POSTGRES}/{base}"


@contextmanager
def rabbitmq(directory):
    """A node with its own data and port mapper, as user `guest`."""
    place = directory / "rabbitmq"
    place.mkdir()
    (place / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{RABBITMQ}\nlog.console = true\nlog.file = false\n")
    (place / "enabled_plugins").write_text("[].\n")
    place.chmod(0o777)
    mapper = RABBITMQ + 1
    settings = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": place, "RUNNING_UNDER_SYSTEMD": "true",
        "ERL_EPMD_PORT": mapper, "RABBITMQ_NODENAME": "rampart-bench@localhost", "RABBITMQ_DIST_PORT": RABBITMQ + 2,
        "RABBITMQ_CONF_ENV_FILE": place / "none", "RABBITMQ_CONFIG_FILE": place / "rabbitmq.conf",
        "RABBITMQ_GENERATED_CONFIG_DIR": place / "generated", "RABBITMQ_ENABLED_PLUGINS_FILE": place / "enabled_plugins",
        "RABBITMQ_MNESIA_BASE": place / "mnesia", "RABBITMQ_LOG_BASE": place / "log", "RABBITMQ_LOGS": "-",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
    }
    user = pwd.getpwnam("rabbitmq")
    as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "env", "-i"]
    server = [*as_user, *(f"{name}={value}" for name, value in settings.items()), "/usr/lib/rabbitmq/bin/rabbitmq-server"]
    log = directory / "rabbitmq.log"
    epmd = [*as_user, "PATH=/usr/bin:/bin", "epmd", "-address", "127.0.0.1", "-port", mapper]
    with process(epmd, accepts("127.0.0.1", mapper)):
        with process(server, lambda: "Server startup complete" in log.read_text(errors="replace"), log):
            yield f"amqp://guest:guest@127.0.0.1:{RABBITMQ}/%2f"
