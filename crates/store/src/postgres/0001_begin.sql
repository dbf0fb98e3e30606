-- Rows of tenants are seen through row-level security only: by rampart_tenant those of the tenant that the transaction names, by
-- rampart_queue what scheduling needs of all tenants, and nothing of what was found. Neither owns anything; whoever logs in is a
-- member of one or both.

CREATE SCHEMA IF NOT EXISTS rampart;
SET LOCAL search_path = rampart;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rampart_tenant') THEN
        CREATE ROLE rampart_tenant NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rampart_queue') THEN
        CREATE ROLE rampart_queue NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
EXCEPTION
    -- Roles belong to the whole server: somebody made them for another database at the same moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

DO $$
BEGIN
    -- They may have been there before, made by somebody else.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname IN ('rampart_tenant', 'rampart_queue')
        AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolcanlogin)) THEN
        RAISE EXCEPTION 'the role rampart_tenant or rampart_queue exists and may do too much'
            USING HINT = 'ALTER ROLE ... NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION';
    END IF;
    IF EXISTS (SELECT FROM pg_auth_members WHERE member IN ('rampart_tenant'::regrole, 'rampart_queue'::regrole)) THEN
        RAISE EXCEPTION 'the role rampart_tenant or rampart_queue is a member of another role';
    END IF;
END
$$;

-- The store's clock.
CREATE FUNCTION store_time() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT clock_timestamp() $$;

-- None when the transaction names none: a setting that was set once is empty afterwards, not absent.
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('rampart.tenant', true), '')::uuid $$;

CREATE TABLE tenants (
    tenant_id      uuid PRIMARY KEY,
    name           text NOT NULL UNIQUE,
    weight         bigint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
    most_in_flight bigint NOT NULL DEFAULT 10000 CHECK (most_in_flight >= 0),
    created_at     timestamptz NOT NULL
);

-- What tenants say for themselves.
CREATE TABLE tenant_settings (
    tenant_id       uuid PRIMARY KEY REFERENCES tenants,
    keep_scans_days bigint
);

CREATE TABLE scopes (
    tenant_id  uuid NOT NULL REFERENCES tenants,
    name       text NOT NULL,
    body       text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- The time that workers held its tasks, and may hold them, is in microseconds; the price of an hour of that in millionths. What is
-- forgotten is there for nobody any more, and its rows and reports go a little at a time.
CREATE TABLE scans (
    tenant_id       uuid NOT NULL REFERENCES tenants,
    scan_id         text NOT NULL,
    scope           text NOT NULL,
    scope_body      text NOT NULL,
    request         text NOT NULL,
    limits          text NOT NULL,
    submitted_by    text NOT NULL,
    submitted_at    timestamptz NOT NULL,
    deadline        timestamptz NOT NULL,
    state           text NOT NULL CHECK (state IN ('running', 'ended', 'forgotten')),
    life            text NOT NULL,
    ended_at        timestamptz,
    purpose         bytea NOT NULL,
    checks          text NOT NULL,
    baseline        text,
    stopping        text,
    targets         bigint NOT NULL,
    next_target     bigint NOT NULL DEFAULT 0,
    within          text,
    open_tasks      bigint NOT NULL DEFAULT 0,
    dead_tasks      bigint NOT NULL DEFAULT 0,
    cancelled_tasks bigint NOT NULL DEFAULT 0,
    names_left      bigint NOT NULL,
    units           bigint NOT NULL DEFAULT 0,
    granted         bigint NOT NULL DEFAULT 0,
    assets          bigint NOT NULL DEFAULT 0,
    findings        bigint NOT NULL DEFAULT 0,
    traffic         text NOT NULL,
    worked          bigint NOT NULL DEFAULT 0,
    most_worked     bigint,
    price           bigint,
    request_id      text,
    traceparent     text,
    PRIMARY KEY (tenant_id, scan_id)
);
CREATE INDEX scans_by_time ON scans (tenant_id, submitted_at);
CREATE INDEX scans_by_purpose ON scans (tenant_id, purpose, submitted_at);
CREATE INDEX scans_running ON scans (deadline) WHERE state = 'running';
CREATE INDEX scans_forgotten ON scans (tenant_id) WHERE state = 'forgotten';

CREATE TABLE scan_targets (
    tenant_id uuid NOT NULL,
    scan_id   text NOT NULL,
    position  bigint NOT NULL,
    target    text NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, position),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
);

-- What the frontier of a running scan knows.
CREATE TABLE scan_knowledge (
    tenant_id uuid NOT NULL,
    scan_id   text NOT NULL,
    subject   text NOT NULL,
    fact      text NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, subject),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
);

-- Units that a scan has planned.
CREATE TABLE scan_units (
    tenant_id uuid NOT NULL,
    scan_id   text NOT NULL,
    unit_key  bytea NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, unit_key),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
);

-- What came of each unit that had its turn.
CREATE TABLE unit_results (
    tenant_id    uuid NOT NULL,
    scan_id      text NOT NULL,
    task_id      uuid NOT NULL,
    stage        text NOT NULL,
    unit         text NOT NULL,
    unit_key     bytea NOT NULL,
    looked_at    timestamptz,
    ledger       text NOT NULL,
    found        text NOT NULL,
    undetermined text NOT NULL,
    left_out     text NOT NULL,
    gaps         bigint NOT NULL,
    done_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, task_id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
);
-- What could not be found out, without what could be.
CREATE INDEX unit_results_with_gaps ON unit_results (tenant_id, scan_id, task_id, gaps) WHERE gaps > 0;
-- What a look says that was committed before an earlier one.
CREATE INDEX unit_results_at_unit ON unit_results (tenant_id, unit_key, looked_at) WHERE looked_at IS NOT NULL;

-- Units that were looked at, and when the latest look began. Whoever commits a look holds its row: two looks at one unit are
-- committed one after the other, and the second knows of the first.
CREATE TABLE unit_looks (
    tenant_id uuid NOT NULL REFERENCES tenants,
    unit_key  bytea NOT NULL,
    looked_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, unit_key)
) WITH (fillfactor = 90);

-- When a unit was looked at last, over all scans: what is the same within a window needs no second look.
CREATE TABLE unit_visits (
    tenant_id uuid NOT NULL REFERENCES tenants,
    unit_key  bytea NOT NULL,
    looks     bytea NOT NULL,
    checks    text NOT NULL,
    looked_at timestamptz NOT NULL,
    task_id   uuid NOT NULL,
    scan_id   text NOT NULL,
    learned   text NOT NULL,
    seen      text NOT NULL,
    PRIMARY KEY (tenant_id, unit_key)
) WITH (fillfactor = 90);

CREATE TABLE tasks (
    tenant_id     uuid NOT NULL REFERENCES tenants,
    task_id       uuid NOT NULL,
    scan_id       text,
    stage         text NOT NULL,
    work          text NOT NULL,
    unit          text,
    priority      bigint NOT NULL,
    state         text NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'cancelled', 'dead')),
    not_before    timestamptz NOT NULL,
    lease_number  bigint NOT NULL DEFAULT 0,
    worker        uuid,
    lease_until   timestamptz,
    cancelling    boolean NOT NULL DEFAULT false,
    begun         boolean NOT NULL DEFAULT false,
    death         text,
    attempts      bigint NOT NULL DEFAULT 0,
    redriven      bigint NOT NULL DEFAULT 0,
    most_attempts bigint NOT NULL,
    backoff_base  bigint NOT NULL,
    backoff_cap   bigint NOT NULL,
    deadline      bigint NOT NULL,
    last_failure  text,
    created_at    timestamptz NOT NULL,
    started_at    timestamptz,
    ended_at      timestamptz,
    request_id    text,
    traceparent   text,
    PRIMARY KEY (tenant_id, task_id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
);
CREATE INDEX tasks_due ON tasks (stage, tenant_id, priority, begun, not_before, task_id) WHERE state = 'queued';
CREATE INDEX tasks_running ON tasks (tenant_id, scan_id, stage, worker) WHERE state = 'running';
CREATE INDEX tasks_unwanted ON tasks (worker) WHERE state = 'running' AND cancelling;
CREATE INDEX tasks_leased ON tasks (lease_until) WHERE state = 'running';
CREATE INDEX tasks_of_scan ON tasks (tenant_id, scan_id, state) WHERE scan_id IS NOT NULL;
CREATE INDEX tasks_by_state ON tasks (tenant_id, state, task_id);
CREATE INDEX tasks_ended ON tasks (tenant_id, ended_at) WHERE ended_at IS NOT NULL;

-- A package that somebody has asked for and that waits or is looked at.
CREATE INDEX tasks_of_packages ON tasks (tenant_id, unit) WHERE stage = 'package';

-- What analyses of packages say; it goes with the task.
CREATE TABLE package_results (
    tenant_id   uuid NOT NULL,
    task_id     uuid NOT NULL,
    purl_key    bytea NOT NULL,
    body        text NOT NULL,
    analysed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, task_id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES tasks ON DELETE CASCADE
);
CREATE INDEX package_results_by_package ON package_results (tenant_id, purl_key, analysed_at);

CREATE TABLE task_keys (
    tenant_id       uuid NOT NULL REFERENCES tenants,
    idempotency_key text NOT NULL,
    task_id         uuid NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, idempotency_key)
);

-- What was asked for under a key is made once: by the digest of it another request under the same key is told from the same one. Of
-- what was made nothing is kept but its id.
CREATE TABLE request_keys (
    tenant_id       uuid NOT NULL REFERENCES tenants,
    asked_by        text NOT NULL,
    idempotency_key text NOT NULL,
    asked           bytea NOT NULL,
    made            text NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, asked_by, idempotency_key)
);

-- Here and below: of two looks that began together, that of the later task counts as the later one. What every later scan changes
-- has room for that in its page: then no index has to know of it.
CREATE TABLE assets (
    tenant_id  uuid NOT NULL REFERENCES tenants,
    asset_key  bytea NOT NULL,
    kind       text NOT NULL,
    identity   text NOT NULL,
    body       text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    task_id    uuid NOT NULL,
    PRIMARY KEY (tenant_id, asset_key)
) WITH (fillfactor = 90);
-- What is new?
CREATE INDEX assets_by_first_seen ON assets (tenant_id, first_seen, asset_key);

CREATE TABLE findings (
    tenant_id   uuid NOT NULL REFERENCES tenants,
    fingerprint bytea NOT NULL,
    check_id    text NOT NULL,
    severity    bigint NOT NULL,
    location    text NOT NULL,
    body        text NOT NULL,
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    task_id     uuid NOT NULL,
    decided_at  timestamptz,
    verdict     text,
    decided_by  text,
    reason      text,
    PRIMARY KEY (tenant_id, fingerprint)
) WITH (fillfactor = 80);
CREATE INDEX findings_by_severity ON findings (tenant_id, severity, first_seen, fingerprint);

-- A finding at one unit: each place where it was seen has looks of its own.
CREATE TABLE sightings (
    tenant_id   uuid NOT NULL,
    fingerprint bytea NOT NULL,
    unit_key    bytea NOT NULL,
    check_id    text NOT NULL,
    address     text,
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    task_id     uuid NOT NULL,
    last_missed timestamptz,
    PRIMARY KEY (tenant_id, fingerprint, unit_key),
    FOREIGN KEY (tenant_id, fingerprint) REFERENCES findings ON DELETE CASCADE
) WITH (fillfactor = 90);
CREATE INDEX sightings_at_unit ON sightings (tenant_id, unit_key);

-- What a scan saw: what two scans differ in is the difference of these.
CREATE TABLE observations (
    tenant_id uuid NOT NULL,
    scan_id   text NOT NULL,
    kind      text NOT NULL,
    subject   bytea NOT NULL,
    looks     bytea NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, kind, subject),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
);

-- Large documents beside what they belong to: here, or in object storage by that key.
CREATE TABLE evidence (
    tenant_id   uuid NOT NULL,
    fingerprint bytea NOT NULL,
    scan_id     text NOT NULL,
    body        text,
    object      text,
    taken_at    timestamptz NOT NULL,
    task_id     uuid NOT NULL,
    PRIMARY KEY (tenant_id, fingerprint),
    CHECK ((body IS NULL) <> (object IS NULL)),
    FOREIGN KEY (tenant_id, fingerprint) REFERENCES findings ON DELETE CASCADE
) WITH (fillfactor = 80);
-- Which of these objects does a finding still name?
CREATE INDEX evidence_objects ON evidence (tenant_id, object) WHERE object IS NOT NULL;

CREATE TABLE schedules (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    schedule_id  uuid NOT NULL,
    name         text NOT NULL,
    rule         text NOT NULL,
    request      text NOT NULL,
    targets      text NOT NULL,
    enabled      boolean NOT NULL,
    progress     text NOT NULL,
    look_again   timestamptz,
    last_scan    text,
    refused      text,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, schedule_id),
    UNIQUE (tenant_id, name)
);
CREATE INDEX schedules_by_scan ON schedules (tenant_id, last_scan);
CREATE INDEX schedules_to_look_at ON schedules (look_again) WHERE enabled;

-- Where tenants are told what happens to them, and up to where in that they were given it. Secrets are none of it: they follow from the
-- key of the installation.
CREATE TABLE webhooks (
    tenant_id        uuid NOT NULL REFERENCES tenants,
    webhook_id       uuid NOT NULL,
    name             text NOT NULL,
    url              text NOT NULL,
    events           text NOT NULL,
    enabled          boolean NOT NULL,
    followed         bigint NOT NULL,
    created_at       timestamptz NOT NULL,
    created_by       text NOT NULL,
    secret_number    bigint NOT NULL,
    old_secrets      text NOT NULL,
    delivered_at     timestamptz,
    failing_since    timestamptz,
    failure          text,
    missed_until     timestamptz,
    PRIMARY KEY (tenant_id, webhook_id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE stops (
    stop_id    uuid PRIMARY KEY,
    reach      text NOT NULL,
    authority  text NOT NULL,
    reason     text NOT NULL,
    ordered_by text NOT NULL,
    ordered_at timestamptz NOT NULL,
    lifted_at  timestamptz,
    lifted_by  text,
    why_lifted text
);
CREATE INDEX stops_in_force ON stops (ordered_at) WHERE lifted_at IS NULL;
-- Who orders what holds already orders nothing more.
CREATE UNIQUE INDEX stops_hold_once ON stops (reach, authority) WHERE lifted_at IS NULL;

CREATE TABLE leaders (
    office       text PRIMARY KEY,
    worker       uuid NOT NULL,
    lease_number bigint NOT NULL,
    lease_until  timestamptz NOT NULL
);

CREATE TABLE workers (
    worker      uuid PRIMARY KEY,
    stages      text NOT NULL,
    version     text NOT NULL,
    concurrency bigint NOT NULL,
    -- The machine, or the pod.
    machine     text,
    started_at  timestamptz NOT NULL,
    last_heard  timestamptz NOT NULL
);

-- Keys of programs, as digests.
CREATE TABLE keys (
    tenant_id  uuid NOT NULL REFERENCES tenants,
    prefix     text NOT NULL,
    digest     bytea NOT NULL,
    name       text NOT NULL,
    role       text NOT NULL,
    networks   text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz,
    last_used  timestamptz,
    replaced   text,
    PRIMARY KEY (prefix)
);
CREATE INDEX keys_of_tenant ON keys (tenant_id, name);
CREATE INDEX keys_of_role ON keys (tenant_id, role);

-- Roles that tenants make, beside those that every tenant has.
CREATE TABLE roles (
    tenant_id   uuid NOT NULL REFERENCES tenants,
    name        text NOT NULL,
    permissions text NOT NULL,
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- People who may log in.
CREATE TABLE users (
    tenant_id     uuid NOT NULL REFERENCES tenants,
    user_id       uuid NOT NULL,
    name          text NOT NULL,
    role          text NOT NULL,
    password      text,
    invitation    bytea UNIQUE,
    invited_until timestamptz,
    networks      text NOT NULL,
    created_at    timestamptz NOT NULL,
    created_by    text NOT NULL,
    disabled_at   timestamptz,
    last_login    timestamptz,
    issuer        text,
    subject       text,
    second_factor text,
    PRIMARY KEY (tenant_id, user_id),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, issuer, subject)
);
CREATE INDEX users_of_role ON users (tenant_id, role);

-- People who have logged in. Tokens as digests.
CREATE TABLE sessions (
    tenant_id  uuid NOT NULL,
    session_id uuid NOT NULL,
    user_id    uuid NOT NULL,
    digest     bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    last_used  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    origin     text,
    PRIMARY KEY (tenant_id, session_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE
);
CREATE INDEX sessions_of_user ON sessions (tenant_id, user_id, last_used);

-- All that is said about one finding, or one scan. Whoever adds to it holds its row, and with it the last number.
CREATE TABLE conversations (
    tenant_id       uuid NOT NULL REFERENCES tenants,
    conversation_id uuid NOT NULL,
    fingerprint     bytea,
    scan_id         text,
    comments        bigint NOT NULL DEFAULT 0,
    last_at         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, conversation_id),
    CHECK ((fingerprint IS NULL) <> (scan_id IS NULL)),
    FOREIGN KEY (tenant_id, fingerprint) REFERENCES findings ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
);
CREATE UNIQUE INDEX conversations_about_findings ON conversations (tenant_id, fingerprint) WHERE fingerprint IS NOT NULL;
CREATE UNIQUE INDEX conversations_about_scans ON conversations (tenant_id, scan_id) WHERE scan_id IS NOT NULL;
CREATE INDEX conversations_by_time ON conversations (tenant_id, last_at, conversation_id);

-- Who wrote it is told beside it: it outlives them. What was taken back keeps its row without a text.
CREATE TABLE comments (
    tenant_id       uuid NOT NULL,
    comment_id      uuid NOT NULL,
    conversation_id uuid NOT NULL,
    number          bigint NOT NULL,
    answers         uuid,
    user_id         uuid,
    key_prefix      text,
    author          text NOT NULL,
    body            text,
    written_at      timestamptz NOT NULL,
    edits           bigint NOT NULL DEFAULT 0,
    edited_at       timestamptz,
    deleted_at      timestamptz,
    deleted_by      text,
    PRIMARY KEY (tenant_id, comment_id),
    UNIQUE (tenant_id, conversation_id, number),
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, answers) REFERENCES comments
);
CREATE INDEX comments_that_answer ON comments (tenant_id, answers) WHERE answers IS NOT NULL;

-- What comments said before they were said in other words.
CREATE TABLE comment_edits (
    tenant_id   uuid NOT NULL,
    comment_id  uuid NOT NULL,
    number      bigint NOT NULL,
    body        text NOT NULL,
    written_at  timestamptz NOT NULL,
    replaced_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, comment_id, number),
    FOREIGN KEY (tenant_id, comment_id) REFERENCES comments ON DELETE CASCADE
);

-- Whom comments mention.
CREATE TABLE mentions (
    tenant_id    uuid NOT NULL,
    comment_id   uuid NOT NULL,
    user_id      uuid NOT NULL,
    mentioned_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, comment_id, user_id),
    FOREIGN KEY (tenant_id, comment_id) REFERENCES comments ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE
);
CREATE INDEX mentions_of_user ON mentions (tenant_id, user_id, mentioned_at, comment_id);

-- How far people have read: up to the comment with that number, and when they said so.
CREATE TABLE read_marks (
    tenant_id       uuid NOT NULL,
    user_id         uuid NOT NULL,
    conversation_id uuid NOT NULL,
    number          bigint NOT NULL,
    read_at         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id, conversation_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations ON DELETE CASCADE
);
CREATE INDEX read_marks_in_conversation ON read_marks (tenant_id, conversation_id);

CREATE TABLE audit (
    sequence  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid,
    position  bigint NOT NULL,
    at        timestamptz NOT NULL,
    actor     text NOT NULL,
    origin    text,
    request   text,
    action    text NOT NULL,
    refused   boolean NOT NULL,
    subject   text NOT NULL,
    detail    text NOT NULL,
    before    text,
    after     text,
    seal      text NOT NULL
);
CREATE INDEX audit_of_tenant ON audit (tenant_id, sequence);
-- What is of no tenant has a chain, too.
CREATE UNIQUE INDEX audit_chain ON audit (tenant_id, position) NULLS NOT DISTINCT;

-- What happened within the last hour, for whoever follows it.
CREATE TABLE happenings (
    tenant_id uuid NOT NULL REFERENCES tenants,
    position  bigint NOT NULL,
    at        timestamptz NOT NULL,
    body      text NOT NULL,
    PRIMARY KEY (tenant_id, position)
);
-- The last number of each tenant: whoever gives numbers holds it to the end of the transaction, so that they are seen in their order.
CREATE TABLE happening_ends (
    tenant_id uuid PRIMARY KEY REFERENCES tenants,
    position  bigint NOT NULL
);
CREATE INDEX happenings_by_age ON happenings (at);

-- Where each chain ends, how many checkpoints it has, and of which entry the last one is. That of no tenant has the id of nothing.
CREATE TABLE audit_ends (
    tenant_id   uuid PRIMARY KEY,
    position    bigint NOT NULL,
    seal        text NOT NULL,
    checkpoints bigint NOT NULL DEFAULT 0,
    signed      bigint NOT NULL DEFAULT 0
);

-- Here, too, what is of no tenant has the id of nothing.
CREATE TABLE audit_checkpoints (
    tenant_id uuid NOT NULL,
    number    bigint NOT NULL,
    purged    bigint NOT NULL,
    position  bigint NOT NULL,
    seal      text NOT NULL,
    at        timestamptz NOT NULL,
    before    text NOT NULL,
    key       text NOT NULL,
    signature text NOT NULL,
    PRIMARY KEY (tenant_id, number)
);

-- Whoever may delete entries may only delete those of which a checkpoint says that they are purged, and that is never taken back.
CREATE FUNCTION require_purged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone WHERE position > coalesce((SELECT purged FROM rampart.audit_checkpoints AS last
        WHERE last.tenant_id = coalesce(gone.tenant_id, '00000000-0000-0000-0000-000000000000') ORDER BY number DESC LIMIT 1), 0)) THEN
        RAISE EXCEPTION 'the audit is never deleted, but for what was purged';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_is_not_deleted AFTER DELETE ON audit REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION require_purged();

GRANT USAGE ON SCHEMA rampart TO rampart_tenant, rampart_queue;
REVOKE ALL ON FUNCTION store_time(), current_tenant(), require_purged() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store_time(), current_tenant() TO rampart_tenant, rampart_queue;

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON tenants FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT ON tenants TO rampart_tenant;

ALTER TABLE tenant_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_settings FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON tenant_settings FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_settings TO rampart_tenant;

ALTER TABLE scopes ENABLE ROW LEVEL SECURITY;
ALTER TABLE scopes FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON scopes FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON scopes TO rampart_tenant;

ALTER TABLE scans ENABLE ROW LEVEL SECURITY;
ALTER TABLE scans FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON scans FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON scans TO rampart_tenant;

ALTER TABLE scan_targets ENABLE ROW LEVEL SECURITY;
ALTER TABLE scan_targets FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON scan_targets FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON scan_targets TO rampart_tenant;

ALTER TABLE scan_knowledge ENABLE ROW LEVEL SECURITY;
ALTER TABLE scan_knowledge FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON scan_knowledge FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON scan_knowledge TO rampart_tenant;

ALTER TABLE scan_units ENABLE ROW LEVEL SECURITY;
ALTER TABLE scan_units FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON scan_units FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON scan_units TO rampart_tenant;

ALTER TABLE unit_results ENABLE ROW LEVEL SECURITY;
ALTER TABLE unit_results FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON unit_results FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON unit_results TO rampart_tenant;

ALTER TABLE unit_looks ENABLE ROW LEVEL SECURITY;
ALTER TABLE unit_looks FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON unit_looks FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON unit_looks TO rampart_tenant;

ALTER TABLE unit_visits ENABLE ROW LEVEL SECURITY;
ALTER TABLE unit_visits FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON unit_visits FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON unit_visits TO rampart_tenant;

ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON tasks FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO rampart_tenant;

ALTER TABLE package_results ENABLE ROW LEVEL SECURITY;
ALTER TABLE package_results FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON package_results FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON package_results TO rampart_tenant;

ALTER TABLE task_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE task_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON task_keys FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON task_keys TO rampart_tenant;

ALTER TABLE request_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE request_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON request_keys FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON request_keys TO rampart_tenant;

ALTER TABLE assets ENABLE ROW LEVEL SECURITY;
ALTER TABLE assets FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON assets FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON assets TO rampart_tenant;

ALTER TABLE findings ENABLE ROW LEVEL SECURITY;
ALTER TABLE findings FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON findings FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON findings TO rampart_tenant;

ALTER TABLE sightings ENABLE ROW LEVEL SECURITY;
ALTER TABLE sightings FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON sightings FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON sightings TO rampart_tenant;

ALTER TABLE observations ENABLE ROW LEVEL SECURITY;
ALTER TABLE observations FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON observations FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON observations TO rampart_tenant;

ALTER TABLE evidence ENABLE ROW LEVEL SECURITY;
ALTER TABLE evidence FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON evidence FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON evidence TO rampart_tenant;

ALTER TABLE schedules ENABLE ROW LEVEL SECURITY;
ALTER TABLE schedules FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON schedules FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON schedules TO rampart_tenant;

ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhooks FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON webhooks FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks TO rampart_tenant;

ALTER TABLE keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE keys FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON keys FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON keys TO rampart_tenant;

ALTER TABLE roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE roles FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON roles FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON roles TO rampart_tenant;

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON users FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO rampart_tenant;

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON sessions FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO rampart_tenant;

ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON conversations FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON conversations TO rampart_tenant;

ALTER TABLE comments ENABLE ROW LEVEL SECURITY;
ALTER TABLE comments FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON comments FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON comments TO rampart_tenant;

ALTER TABLE comment_edits ENABLE ROW LEVEL SECURITY;
ALTER TABLE comment_edits FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON comment_edits FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON comment_edits TO rampart_tenant;

ALTER TABLE mentions ENABLE ROW LEVEL SECURITY;
ALTER TABLE mentions FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON mentions FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON mentions TO rampart_tenant;

ALTER TABLE read_marks ENABLE ROW LEVEL SECURITY;
ALTER TABLE read_marks FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON read_marks FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON read_marks TO rampart_tenant;

ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON audit FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, DELETE ON audit TO rampart_tenant;

ALTER TABLE audit_ends ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_ends FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON audit_ends FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE ON audit_ends TO rampart_tenant;

ALTER TABLE audit_checkpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_checkpoints FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON audit_checkpoints FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT ON audit_checkpoints TO rampart_tenant;

ALTER TABLE happenings ENABLE ROW LEVEL SECURITY;
ALTER TABLE happenings FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON happenings FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT ON happenings TO rampart_tenant;

ALTER TABLE happening_ends ENABLE ROW LEVEL SECURITY;
ALTER TABLE happening_ends FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON happening_ends FOR ALL TO rampart_tenant
    USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
GRANT SELECT, INSERT, UPDATE ON happening_ends TO rampart_tenant;

-- Scheduling.
CREATE POLICY of_queue ON tenants FOR ALL TO rampart_queue USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON tenants TO rampart_queue;
CREATE POLICY of_queue ON tasks FOR ALL TO rampart_queue USING (true) WITH CHECK (true);
GRANT SELECT ON tasks TO rampart_queue;
GRANT UPDATE (state, not_before, lease_number, worker, lease_until, cancelling, begun, death, attempts, redriven, last_failure,
    started_at, ended_at) ON tasks TO rampart_queue;
CREATE POLICY of_queue ON scans FOR SELECT TO rampart_queue USING (true);
GRANT SELECT (tenant_id, scan_id, state, stopping, deadline, open_tasks, ended_at, worked, most_worked) ON scans TO rampart_queue;
CREATE POLICY of_queue ON schedules FOR SELECT TO rampart_queue USING (true);
GRANT SELECT (tenant_id, schedule_id, enabled, look_again) ON schedules TO rampart_queue;
CREATE POLICY of_queue ON webhooks FOR SELECT TO rampart_queue USING (true);
GRANT SELECT (tenant_id, enabled, followed) ON webhooks TO rampart_queue;
CREATE POLICY of_queue ON keys FOR ALL TO rampart_queue USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON keys TO rampart_queue;
CREATE POLICY of_queue ON roles FOR SELECT TO rampart_queue USING (true);
GRANT SELECT ON roles TO rampart_queue;
-- A stop may be asked for under a key.
CREATE POLICY of_queue ON request_keys FOR ALL TO rampart_queue USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON request_keys TO rampart_queue;
-- Whose a name is, and a session.
CREATE POLICY of_queue ON users FOR SELECT TO rampart_queue USING (true);
GRANT SELECT ON users TO rampart_queue;
CREATE POLICY of_queue ON sessions FOR ALL TO rampart_queue USING (true) WITH CHECK (true);
GRANT SELECT, DELETE ON sessions TO rampart_queue;
CREATE POLICY of_queue ON audit FOR INSERT TO rampart_queue WITH CHECK (true);
-- What was done to all, and nothing of what was done to one.
CREATE POLICY of_nobody ON audit FOR ALL TO rampart_queue USING (tenant_id IS NULL) WITH CHECK (tenant_id IS NULL);
GRANT SELECT, INSERT, DELETE ON audit TO rampart_queue;
CREATE POLICY of_nobody ON audit_checkpoints FOR ALL TO rampart_queue
    USING (tenant_id = '00000000-0000-0000-0000-000000000000') WITH CHECK (tenant_id = '00000000-0000-0000-0000-000000000000');
GRANT SELECT, INSERT ON audit_checkpoints TO rampart_queue;
CREATE POLICY of_queue ON audit_ends FOR ALL TO rampart_queue USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON audit_ends TO rampart_queue;
CREATE POLICY of_queue ON happenings FOR ALL TO rampart_queue USING (true) WITH CHECK (true);
-- What is too old is found by its age, and nothing of what it was is seen.
GRANT SELECT (tenant_id, position, at), INSERT, DELETE ON happenings TO rampart_queue;
CREATE POLICY of_queue ON happening_ends FOR ALL TO rampart_queue USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON happening_ends TO rampart_queue;
GRANT SELECT, INSERT, UPDATE, DELETE ON stops TO rampart_queue;
GRANT SELECT, INSERT, UPDATE ON leaders TO rampart_queue;
GRANT SELECT, INSERT, UPDATE, DELETE ON workers TO rampart_queue;

-- A queue is rewritten all the time: what is dead goes soon, and updates find room on their page.
ALTER TABLE tasks SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);
ALTER TABLE scans SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
