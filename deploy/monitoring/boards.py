"""The dashboards. `deploy/monitoring/check --write` writes them to components/monitoring-dashboards."""

from grafana import bars, board, chosen, lines, number, steps, table, target, written, written_out

NS = 'namespace="rampart"'
# What people ask: no supervisors, no strange paths.
ASKED = f'{NS},route!~"|/health|/ready|/startup"'
GOOD = steps("red", (1, "green"))
BAD = steps("green", (1, "red"))


def rate(metric, by, more="", window="$__rate_interval"):
    return f"sum by ({by}) (rate({metric}{{{NS}{more}}}[{window}]))"


def quantile(share, metric, by="", more="", namespace=NS):
    kept = "le" + (f", {by}" if by else "")
    return f"histogram_quantile({share}, sum by ({kept}) (rate({metric}_bucket{{{namespace}{more}}}[$__rate_interval])))"


def pods(pattern):
    """What the pods of a role take: CPU, memory and starts."""
    of = f'{NS},pod=~"{pattern}"'
    limit = f'max(kube_pod_container_resource_limits{{{of},resource="memory",container="rampart"}})'
    cpu = f'sum by (pod) (rate(container_cpu_usage_seconds_total{{{of},container!=""}}[$__rate_interval]))'
    memory = f'sum by (pod) (container_memory_working_set_bytes{{{of},container!=""}})'
    return (
        lines("CPU", target(cpu, "{{pod}}"), "short", "Cores of each pod"),
        lines("Memory", [target(memory, "{{pod}}"), target(limit, "limit")], "bytes"),
        lines(
            "Starts",
            target(f"sum by (pod) (increase(kube_pod_container_status_restarts_total{{{of}}}[1h]))", "{{pod}}"),
            "short",
            "Of containers, within an hour",
        ),
    )


def connections(component):
    of = f'sum by (state) (rampart_database_connections{{{NS},component=~"{component}"}})'
    return lines("Connections to the database", target(of, "{{state}}"), "short", "Awaited: somebody waits for one", stacked=True)


def gateway():
    share = "sum_over_time(rampart:http_requests_{}:rate5m[30d]) / sum_over_time(rampart:http_requests_{}:rate5m[30d])"
    failed, slow = share.format("failed", "counted"), share.format("slow", "timed")
    classes = f'sum by (class) (label_replace(rate(rampart_http_requests_total{{{ASKED}}}[$__rate_interval]), "class", "$1", "status", "(.).*"))'
    busy = f"topk(10, sum by (method, route) (rate(rampart_http_requests_total{{{ASKED}}}[$__rate_interval])))"
    errors = f'sum by (method, route, status) (rate(rampart_http_requests_total{{{NS},status=~"5.."}}[$__rate_interval])) > 0'
    latency = "rampart_http_request_duration_seconds"
    burn = [target(f"rampart:http_requests_failed:ratio_rate{window} / 0.001", window) for window in ("5m", "1h", "6h", "3d")]
    late = [target(f"rampart:http_requests_slow:ratio_rate{window} / 0.01", window) for window in ("5m", "1h", "6h", "3d")]
    of_pods = f'kube_pod_status_ready{{{NS},condition="true",pod=~"gateway-.+"}}'
    ready = f'sum by (role) (label_replace({of_pods}, "role", "$1", "pod", "(gateway-events|gateway)-.+"))'
    rows = [
        "What people feel",
        (
            4,
            number(
                "Answered without an error, 30 days",
                f"1 - {failed}",
                "percentunit",
                "99.9 % is meant",
                colors=steps("red", (0.999, "green")),
                decimals=3,
            ),
            number(
                "Left of what may fail",
                f"1 - ({failed}) / 0.001",
                "percentunit",
                "Of 0.1 % in 30 days",
                colors=steps("red", (0.25, "orange"), (0.5, "green")),
                decimals=0,
            ),
            number(
                "Answered within 250 ms, 30 days", f"1 - {slow}", "percentunit", "99 % is meant", colors=steps("red", (0.99, "green")), decimals=2
            ),
            number("Requests", "rampart:http_requests_counted:rate5m", "reqps", "That count"),
            number("Gateways ready", f'sum(kube_pod_status_ready{{{NS},condition="true",pod=~"gateway-[^-]+-[^-]+"}})', colors=GOOD),
            number("Database answers", "rampart:database_answers:max", "bool", colors=GOOD),
        ),
        (
            8,
            lines("Requests by class of status", target(classes, "{{class}}xx"), "reqps", stacked=True),
            lines(
                "Answers take",
                [target(quantile(q, latency, namespace=ASKED), f"{q}") for q in (0.5, 0.9, 0.99)],
                "s",
                "Half, nine in ten, and 99 in a hundred are faster",
                limit=0.25,
            ),
        ),
        (
            7,
            lines("Failures burn", burn, "short", "How many times faster than may be; 14.4 within an hour wakes somebody", limit=14.4),
            lines("Slowness burns", late, "short", "How many times faster than may be", limit=14.4),
        ),
        "Routes",
        (
            8,
            lines("Errors of ours", target(errors, "{{method}} {{route}} {{status}}"), "reqps", "Without a route: there was no room for the request"),
            lines(
                "Slowest",
                target(f"topk(10, {quantile(0.99, latency, 'method, route', namespace=ASKED)})", "{{method}} {{route}}"),
                "s",
                "99 in a hundred are faster",
            ),
        ),
        (
            8,
            lines("Busiest", target(busy, "{{method}} {{route}}"), "reqps"),
            lines(
                "Answered at once",
                target(f"max by (pod) (rampart_http_requests_at_once{{{NS}}})", "{{pod}}"),
                "short",
                "1,024 are the most of a gateway",
                limit=1024,
            ),
        ),
        "Processes",
        (
            7,
            lines("Ready", target(ready, "{{role}}")),
            connections("gateway|events"),
            table("Releases", f"count by (component, version) (rampart_build_info{{{NS}}})", renamed={"Value": "processes"}),
        ),
        (7, *pods("gateway-.+")),
    ]
    return board("gateway", "gateway", "Who asks, what they get, and how fast", rows)


def queue():
    tasks = 'sum by (stage) (rampart:tasks:max{{state="{}",stage=~"$stage"}})'
    rounds = "rampart_orchestrator_round_duration_seconds"
    workers = [
        target('rampart:desired_workers:max{stage=~"$stage"}', "{{stage}} wanted"),
        target('rampart:workers_up:count{stage=~"$stage"}', "{{stage}} there"),
    ]
    dying = 'sum by (stage) (rampart:tasks:max{state="dead",stage=~"$stage"})'
    rows = [
        "Now",
        (
            4,
            number("Queued", 'sum(rampart:tasks:max{state="queued"}) or vector(0)'),
            number("Running", 'sum(rampart:tasks:max{state="running"}) or vector(0)'),
            number(
                "Dead",
                'sum(rampart:tasks:max{state="dead"}) or vector(0)',
                about="They wait for a person: rampart task list --state dead",
                colors=steps("green", (1, "orange")),
            ),
            number("Longest wait", "max(rampart:tasks_waiting_seconds:max) or vector(0)", "s", colors=steps("green", (900, "orange"), (7200, "red"))),
            number("Emergency stops", f"max(rampart_emergency_stops{{{NS}}})", colors=BAD),
            number("Orchestrators that lead", f"sum(rampart_orchestrator_leads{{{NS}}})", colors=steps("red", (1, "green"), (2, "orange"))),
        ),
        "Tasks by stage",
        (
            8,
            lines("Queued", target(tasks.format("queued"), "{{stage}}"), stacked=True),
            lines("Running", target(tasks.format("running"), "{{stage}}"), stacked=True),
        ),
        (
            8,
            lines("The longest has waited", target('rampart:tasks_waiting_seconds:max{stage=~"$stage"}', "{{stage}}"), "s", limit=900),
            lines("Dead", target(dying, "{{stage}}")),
        ),
        (
            8,
            lines("Workers wanted and there", workers, about="Wanted: by what waits and no stop holds"),
            lines(
                "Completed",
                target(rate("rampart_worker_tries_total", "stage", ',end="Completed",stage=~"$stage"'), "{{stage}}"),
                "ops",
                "Tries a second that ended with a result",
                stacked=True,
            ),
        ),
        "Orchestrator",
        (
            7,
            lines(
                "Rounds",
                target(rate("rampart_orchestrator_rounds_total", "result"), "{{result}}"),
                "ops",
                "Of all orchestrators; one a second of each is meant",
            ),
            lines("Rounds take", [target(quantile(q, rounds), f"{q}") for q in (0.5, 0.9, 0.99)], "s", limit=5),
            lines(
                "Taken from silent workers",
                target(f"sum(increase(rampart_orchestrator_tasks_reclaimed_total{{{NS}}}[5m]))", "tasks within 5 minutes"),
            ),
            lines("Who leads", target(f"max by (pod) (rampart_orchestrator_leads{{{NS}}})", "{{pod}}"), "bool"),
        ),
    ]
    stage = chosen("stage", "Stage", f"label_values(rampart_desired_workers{{{NS}}}, stage)")
    return board("queue", "pipeline and queue", "What there is to do, and whether it gets done", rows, [stage])


def workers():
    of = ',stage=~"$stage"'
    tries = rate("rampart_worker_tries_total", "stage, end", of)
    ended = 'sum by (stage) (rampart:worker_tries:rate5m{{stage=~"$stage",end=~"{}"}})'
    failed = f"{ended.format('Failed')} / {ended.format('Completed|Failed')}"
    took = "rampart_worker_try_duration_seconds"
    scaled = [
        target(f'kube_horizontalpodautoscaler_status_current_replicas{{{NS},horizontalpodautoscaler=~".*worker-.+"}}', "{{horizontalpodautoscaler}}"),
        target(f'max(kube_horizontalpodautoscaler_spec_max_replicas{{{NS},horizontalpodautoscaler=~".*worker-.+"}})', "most"),
    ]
    places = [
        target(f"sum by (worker_stage) (rampart_worker_tasks_at_work{{{NS}}})", "{{worker_stage}} at work"),
        target(f"sum by (worker_stage) (rampart_worker_places{{{NS}}})", "{{worker_stage}} places"),
    ]
    rows = [
        "Now",
        (
            4,
            number("Workers", f'sum(up{{{NS},component="worker"}})', colors=GOOD),
            number("Places", f"sum(rampart_worker_places{{{NS}}})", about="Tasks that can be worked on at once"),
            number("At work", f"sum(rampart_worker_tasks_at_work{{{NS}}})"),
            number(
                "Tries that fail",
                '(sum(rampart:worker_tries:rate5m{end="Failed"}) or vector(0)) / sum(rampart:worker_tries:rate5m{end=~"Completed|Failed"})',
                "percentunit",
                "Of the last five minutes",
                colors=steps("green", (0.05, "orange"), (0.2, "red")),
                decimals=1,
            ),
            number(
                "Killed for memory", f'sum(kube_pod_container_status_last_terminated_reason{{{NS},reason="OOMKilled",pod=~"worker-.+"}})', colors=BAD
            ),
        ),
        "Work",
        (
            8,
            lines(
                "Tries by how they end", target(tries, "{{stage}} {{end}}"), "ops", "HandedBack: by a stop, a cancellation or the end of the process"
            ),
            lines("Tries that fail", target(failed, "{{stage}}"), "percentunit", most=1, limit=0.2),
        ),
        (
            8,
            lines("Half of the tries are faster than", target(quantile(0.5, took, "stage", of), "{{stage}}"), "s"),
            lines("Nine in ten tries are faster than", target(quantile(0.9, took, "stage", of), "{{stage}}"), "s"),
        ),
        (
            8,
            lines("Places", places),
            lines(
                "How full they are",
                target("rampart:worker_places_used:ratio", "{{worker_stage}}"),
                "percentunit",
                "Full ones with a short queue need no more workers; with a long one they do",
                most=1,
            ),
        ),
        "Processes",
        (7, lines("Pods by autoscaler", scaled), connections("worker")),
        (7, *pods("worker-.+")),
    ]
    stage = chosen("stage", "Stage", f"label_values(rampart_worker_tries_total{{{NS}}}, stage)")
    return board("workers", "workers", "Who works, on what, and how it ends", rows, [stage])


def database():
    archived = f"max(cnpg_pg_stat_archiver_seconds_since_last_archival{{{NS}}})"
    copied = f"time() - max(barman_cloud_cloudnative_pg_io_last_available_backup_timestamp{{{NS}}} or cnpg_collector_last_available_backup_timestamp{{{NS}}})"
    transactions = [target(rate(f"cnpg_pg_stat_database_xact_{kind}", "datname", ',datname="rampart"'), kind) for kind in ("commit", "rollback")]
    hit = f'rate(cnpg_pg_stat_database_blks_hit{{{NS},datname="rampart"}}[$__rate_interval])'
    hits = f'{hit} / ({hit} + rate(cnpg_pg_stat_database_blks_read{{{NS},datname="rampart"}}[$__rate_interval]))'
    pooled = [
        target(f"sum(cnpg_pgbouncer_pools_{kind}{{{NS}}})", told)
        for kind, told in (
            ("cl_active", "clients served"),
            ("cl_waiting", "clients that wait"),
            ("sv_active", "servers used"),
            ("sv_idle", "servers idle"),
        )
    ]
    used = (
        f'kubelet_volume_stats_used_bytes{{{NS},persistentvolumeclaim=~"database-.+|data-database-.+"}} / kubelet_volume_stats_capacity_bytes{{{NS}}}'
    )
    rows = [
        "As the roles see it",
        (
            4,
            number("Answers", "rampart:database_answers:max", "bool", colors=GOOD),
            number("Awaited connections", 'sum(rampart:database_connections:sum{state="Awaited"})', colors=BAD),
            number("Instances", f"count(cnpg_collector_up{{{NS}}} == 1)", colors=steps("red", (2, "orange"), (3, "green"))),
            number(
                "Synchronous replicas",
                f'max(cnpg_collector_sync_replicas{{{NS},value="observed"}} and on (pod) cnpg_pg_replication_in_recovery{{{NS}}} == 0)',
                colors=GOOD,
            ),
            number(
                "Last archived",
                archived,
                "s",
                "Seconds ago: so much would be lost with everything",
                colors=steps("green", (300, "orange"), (900, "red")),
            ),
            number("Last copy", copied, "s", "A copy a night is meant", colors=steps("green", (108000, "red"))),
        ),
        (
            7,
            lines("Connections by role and state", target("rampart:database_connections:sum", "{{component}} {{state}}"), stacked=True),
            lines("Answers, by gateway", target(f"min by (pod) (rampart_database_answers{{{NS}}})", "{{pod}}"), "bool"),
        ),
        "Instances",
        (
            8,
            lines(
                "Primary", target(f"1 - max by (pod) (cnpg_pg_replication_in_recovery{{{NS}}})", "{{pod}}"), "bool", "1 of the one that takes writes"
            ),
            lines("Replicas are late by", target(f"max by (pod) (cnpg_pg_replication_lag{{{NS}}})", "{{pod}}"), "s", limit=30),
            lines("Connections", target(f"sum by (state) (cnpg_backends_total{{{NS}}})", "{{state}}"), stacked=True),
        ),
        (
            8,
            lines("Transactions", transactions, "ops"),
            lines("Found in memory", target(hits, "{{pod}}"), "percentunit", least=None, most=1),
            lines("Longest transaction", target(f"max by (state) (cnpg_backends_max_tx_duration_seconds{{{NS}}})", "{{state}}"), "s"),
        ),
        (
            8,
            lines("Size", target(f"max by (datname) (cnpg_pg_database_size_bytes{{{NS}}})", "{{datname}}"), "bytes"),
            lines(
                "Volumes are full by",
                target(f"max by (persistentvolumeclaim) ({used})", "{{persistentvolumeclaim}}"),
                "percentunit",
                most=1,
                limit=0.85,
            ),
            lines("Waiting for locks", target(f"max by (pod) (cnpg_backends_waiting_total{{{NS}}})", "{{pod}}")),
        ),
        "Pooler, archive and trust",
        (
            7,
            lines("Pooler", pooled),
            lines("The longest waits in the pooler", target(f"max by (pod) (cnpg_pgbouncer_pools_maxwait{{{NS}}})", "{{pod}}"), "s", limit=5),
            lines("WAL that waits for the archive", target(f'max by (pod) (cnpg_collector_pg_wal_archive_status{{{NS},value="ready"}})', "{{pod}}")),
        ),
        (
            7,
            lines("Deadlocks", target(rate("cnpg_pg_stat_database_deadlocks", "datname", ',datname="rampart"'), "{{datname}}"), "ops"),
            lines(
                "Age of the oldest transaction",
                target(f"max by (datname) (cnpg_pg_database_xid_age{{{NS}}})", "{{datname}}"),
                about="Writes are refused at 2 G",
                limit=1e9,
            ),
            lines("Damaged pages", target(f"max by (pod) (cnpg_rampart_checksums_failures{{{NS}}})", "{{pod}}"), limit=1),
        ),
    ]
    return board("database", "database", "PostgreSQL, its pooler and its copies; most of it needs the component monitoring-database", rows)


def security():
    ends = f'min by (name) (certmanager_certificate_expiration_timestamp_seconds{{{NS}}} or certmanager_certificate_expiration_timestamp_seconds{{exported_namespace="rampart"}})'
    refused = f'sum by (method, route, status) (rate(rampart_http_requests_total{{{NS},status=~"401|403"}}[$__rate_interval])) > 0'
    rows = [
        "Now",
        (
            4,
            number("Unsigned entries of the audit", "rampart:audit_unsigned_entries:max", about="It falls every five minutes"),
            number("Entries of the audit", f"max(rampart_audit_entries{{{NS}}})"),
            number("Sessions of people", f"max(rampart_sessions{{{NS}}})"),
            number("Emergency stops", f"max(rampart_emergency_stops{{{NS}}})", colors=BAD),
            number(
                "Strangers",
                'sum(rampart:authentications:rate5m{result="Unknown"}) / sum(rampart:authentications:rate5m)',
                "percentunit",
                "Of all who say who they are",
                colors=steps("green", (0.05, "orange"), (0.33, "red")),
                decimals=1,
            ),
            number(
                "First certificate ends in", f"(min({ends}) - time()) / 86400", "d", colors=steps("red", (3, "orange"), (21, "green")), decimals=0
            ),
        ),
        "Who comes",
        (
            8,
            lines("Who says who they are", target(rate("rampart_authentications_total", "result"), "{{result}}"), "reqps", stacked=True),
            lines("Refused", target(refused, "{{method}} {{route}} {{status}}"), "reqps", "401: nobody knows who asks; 403: they may not"),
        ),
        (
            8,
            lines("Came too fast", target(f"sum(rate(rampart_http_requests_limited_total{{{NS}}}[$__rate_interval]))", "refused"), "reqps"),
            lines("Sessions of people", target(f"max(rampart_sessions{{{NS}}})", "sessions")),
        ),
        "Audit",
        (
            8,
            lines("Not signed yet", target("rampart:audit_unsigned_entries:max", "entries"), about="Teeth of five minutes are how it should look"),
            lines("Entries", target(f"max(rampart_audit_entries{{{NS}}})", "entries"), least=None),
            lines("New entries a minute", target(f"clamp_min(60 * deriv(max(rampart_audit_entries{{{NS}}})[15m:1m]), 0)", "entries")),
        ),
        "Alerts and certificates",
        (
            8,
            table(
                "Alerts that fire",
                'sort_desc(sum by (alertname, severity, area, stage, pod) (ALERTS{alertname=~"Rampart.+",alertstate="firing"}))',
                hidden=("Value",),
            ),
            table("Certificates", f"1000 * ({ends})", "dateTimeAsIso", renamed={"Value": "ends"}),
        ),
    ]
    return board("security", "security and audit", "Who comes in, who is kept out, and whether it is signed", rows, since="now-24h")


def cost():
    hours, gib = "[$__range])) / 60", "/ 2^30"
    cores = f"sum by (part) (sum_over_time(rampart:cpu_requested:cores{hours}"
    memory = f"sum by (part) (sum_over_time(rampart:memory_requested:bytes{hours} {gib}"
    volumes = f"sum by (part) (sum_over_time(rampart:volumes_requested:bytes{hours} {gib}"
    pods_cost = f"({cores} * $price_cpu + {memory} * $price_memory)"
    # A month has 730 hours.
    volumes_cost = f"({volumes} * $price_storage / 730)"
    total = f"(sum({pods_cost}) + (sum({volumes_cost}) or vector(0)))"
    hourly = f"rampart:cpu_requested:cores * $price_cpu + rampart:memory_requested:bytes {gib} * $price_memory"
    worker = f'label_replace({pods_cost}, "stage", "$1", "part", "worker-(.+)")'
    done = f'sum by (stage) (increase(rampart_worker_tries_total{{{NS},end="Completed"}}[$__range]))'
    rows = [
        "What was requested is paid for, whether it is used or not",
        (
            4,
            number("Cost of this range", total, "none", "In whatever currency the prices are", decimals=2),
            number("At this rate a month costs", f"{total} / $__range_s * 730 * 3600", "none", decimals=0),
            number("Core hours", f"sum({cores})", decimals=0),
            number("GiB hours of memory", f"sum({memory})", decimals=0),
            number(
                "Of the cores is used",
                "sum(sum_over_time(rampart:cpu_used:cores[$__range])) / sum(sum_over_time(rampart:cpu_requested:cores[$__range]))",
                "percentunit",
                decimals=0,
            ),
            number(
                "Of the memory is used",
                "sum(sum_over_time(rampart:memory_used:bytes[$__range])) / sum(sum_over_time(rampart:memory_requested:bytes[$__range]))",
                "percentunit",
                decimals=0,
            ),
        ),
        (
            9,
            bars("Cost of pods, by part", f"sort_desc({pods_cost})", "{{part}}", "none"),
            bars("Cost of volumes, by part", f"sort_desc({volumes_cost})", "{{part}}", "none"),
        ),
        (
            8,
            lines("Cost an hour, by part", target(hourly, "{{part}}"), "none", stacked=True),
            bars(
                "Cost of a thousand tasks, by stage",
                f"1000 * {worker} / on (stage) ({done} > 0)",
                "{{stage}}",
                "none",
                "Workers' pods only; those of report deliver messages, too",
                decimals=3,
            ),
        ),
        "Used of what was requested",
        (
            8,
            lines("Cores", target("rampart:cpu_used:cores / rampart:cpu_requested:cores", "{{part}}"), "percentunit", limit=1),
            lines("Memory", target("rampart:memory_used:bytes / rampart:memory_requested:bytes", "{{part}}"), "percentunit", limit=1),
        ),
        (
            8,
            lines("Cores requested", target("rampart:cpu_requested:cores", "{{part}}"), stacked=True),
            lines("Memory requested", target("rampart:memory_requested:bytes", "{{part}}"), "bytes", stacked=True),
        ),
    ]
    prices = [
        written("price_cpu", "Price of a core hour", "0.04"),
        written("price_memory", "Price of a GiB hour of memory", "0.005"),
        written("price_storage", "Price of a GiB month of volumes", "0.10"),
    ]
    about = "What the cluster's part in it costs, by the prices above. What a scan costs says the API: rampart scan show"
    return board("cost", "cost", about, rows, prices, since="now-7d")


BOARDS = {"gateway": gateway, "queue": queue, "workers": workers, "database": database, "security": security, "cost": cost}


def files():
    """The text of each file by its name."""
    return {f"{name}.json": written_out(made()) + "\n" for name, made in BOARDS.items()}
