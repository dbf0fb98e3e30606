-- Times are microseconds since 1970, ids are the 16 bytes of a UUID, documents are JSON.

CREATE TABLE tenants (
    tenant_id      BLOB PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    weight         INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
    most_in_flight INTEGER NOT NULL DEFAULT 10000 CHECK (most_in_flight >= 0),
    created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What tenants say for themselves.
CREATE TABLE tenant_settings (
    tenant_id       BLOB NOT NULL PRIMARY KEY REFERENCES tenants,
    keep_scans_days INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE scopes (
    tenant_id  BLOB NOT NULL REFERENCES tenants,
    name       TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- The time that workers held its tasks, and may hold them, is in microseconds; the price of an hour of that in millionths. What is
-- forgotten is there for nobody any more, and its rows and reports go a little at a time.
CREATE TABLE scans (
    tenant_id       BLOB NOT NULL REFERENCES tenants,
    scan_id         TEXT NOT NULL,
    scope           TEXT NOT NULL,
    scope_body      TEXT NOT NULL,
    request         TEXT NOT NULL,
    limits          TEXT NOT NULL,
    submitted_by    TEXT NOT NULL,
    submitted_at    INTEGER NOT NULL,
    deadline        INTEGER NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('running', 'ended', 'forgotten')),
    life            TEXT NOT NULL,
    ended_at        INTEGER,
    purpose         BLOB NOT NULL,
    checks          TEXT NOT NULL,
    baseline        TEXT,
    stopping        TEXT,
    targets         INTEGER NOT NULL,
    next_target     INTEGER NOT NULL DEFAULT 0,
    within          TEXT,
    open_tasks      INTEGER NOT NULL DEFAULT 0,
    dead_tasks      INTEGER NOT NULL DEFAULT 0,
    cancelled_tasks INTEGER NOT NULL DEFAULT 0,
    names_left      INTEGER NOT NULL,
    units           INTEGER NOT NULL DEFAULT 0,
    granted         INTEGER NOT NULL DEFAULT 0,
    assets          INTEGER NOT NULL DEFAULT 0,
    findings        INTEGER NOT NULL DEFAULT 0,
    traffic         TEXT NOT NULL,
    worked          INTEGER NOT NULL DEFAULT 0,
    most_worked     INTEGER,
    price           INTEGER,
    request_id      TEXT,
    traceparent     TEXT,
    PRIMARY KEY (tenant_id, scan_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scans_by_time ON scans (tenant_id, submitted_at);
CREATE INDEX scans_by_purpose ON scans (tenant_id, purpose, submitted_at);
CREATE INDEX scans_running ON scans (deadline) WHERE state = 'running';
CREATE INDEX scans_forgotten ON scans (tenant_id) WHERE state = 'forgotten';

CREATE TABLE scan_targets (
    tenant_id BLOB NOT NULL,
    scan_id   TEXT NOT NULL,
    position  INTEGER NOT NULL,
    target    TEXT NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, position),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What the frontier of a running scan knows.
CREATE TABLE scan_knowledge (
    tenant_id BLOB NOT NULL,
    scan_id   TEXT NOT NULL,
    subject   TEXT NOT NULL,
    fact      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, subject),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Units that a scan has planned.
CREATE TABLE scan_units (
    tenant_id BLOB NOT NULL,
    scan_id   TEXT NOT NULL,
    unit_key  BLOB NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, unit_key),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What came of each unit that had its turn.
CREATE TABLE unit_results (
    tenant_id    BLOB NOT NULL,
    scan_id      TEXT NOT NULL,
    task_id      BLOB NOT NULL,
    stage        TEXT NOT NULL,
    unit         TEXT NOT NULL,
    unit_key     BLOB NOT NULL,
    looked_at    INTEGER,
    ledger       TEXT NOT NULL,
    found        TEXT NOT NULL,
    undetermined TEXT NOT NULL,
    left_out     TEXT NOT NULL,
    gaps         INTEGER NOT NULL,
    done_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, task_id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
-- What could not be found out, without what could be.
CREATE INDEX unit_results_with_gaps ON unit_results (tenant_id, scan_id, task_id, gaps) WHERE gaps > 0;
-- What a look says that was committed before an earlier one.
CREATE INDEX unit_results_at_unit ON unit_results (tenant_id, unit_key, looked_at) WHERE looked_at IS NOT NULL;

-- Units that were looked at, and when the latest look began. Whoever commits a look holds its row: two looks at one unit are
-- committed one after the other, and the second knows of the first.
CREATE TABLE unit_looks (
    tenant_id BLOB NOT NULL REFERENCES tenants,
    unit_key  BLOB NOT NULL,
    looked_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, unit_key)
) STRICT, WITHOUT ROWID;

-- When a unit was looked at last, over all scans: what is the same within a window needs no second look.
CREATE TABLE unit_visits (
    tenant_id BLOB NOT NULL REFERENCES tenants,
    unit_key  BLOB NOT NULL,
    looks     BLOB NOT NULL,
    checks    TEXT NOT NULL,
    looked_at INTEGER NOT NULL,
    task_id   BLOB NOT NULL,
    scan_id   TEXT NOT NULL,
    learned   TEXT NOT NULL,
    seen      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, unit_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    tenant_id     BLOB NOT NULL REFERENCES tenants,
    task_id       BLOB NOT NULL,
    scan_id       TEXT,
    stage         TEXT NOT NULL,
    work          TEXT NOT NULL,
    unit          TEXT,
    priority      INTEGER NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'cancelled', 'dead')),
    not_before    INTEGER NOT NULL,
    lease_number  INTEGER NOT NULL DEFAULT 0,
    worker        BLOB,
    lease_until   INTEGER,
    cancelling    INTEGER NOT NULL DEFAULT 0,
    begun         INTEGER NOT NULL DEFAULT 0,
    death         TEXT,
    attempts      INTEGER NOT NULL DEFAULT 0,
    redriven      INTEGER NOT NULL DEFAULT 0,
    most_attempts INTEGER NOT NULL,
    backoff_base  INTEGER NOT NULL,
    backoff_cap   INTEGER NOT NULL,
    deadline      INTEGER NOT NULL,
    last_failure  TEXT,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    ended_at      INTEGER,
    request_id    TEXT,
    traceparent   TEXT,
    PRIMARY KEY (tenant_id, task_id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
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
    tenant_id   BLOB NOT NULL,
    task_id     BLOB NOT NULL,
    purl_key    BLOB NOT NULL,
    body        TEXT NOT NULL,
    analysed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, task_id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES tasks ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX package_results_by_package ON package_results (tenant_id, purl_key, analysed_at);

CREATE TABLE task_keys (
    tenant_id       BLOB NOT NULL REFERENCES tenants,
    idempotency_key TEXT NOT NULL,
    task_id         BLOB NOT NULL,
    expires_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, idempotency_key)
) STRICT, WITHOUT ROWID;

-- What was asked for under a key is made once: by the digest of it another request under the same key is told from the same one. Of
-- what was made nothing is kept but its id.
CREATE TABLE request_keys (
    tenant_id       BLOB NOT NULL REFERENCES tenants,
    asked_by        TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    asked           BLOB NOT NULL,
    made            TEXT NOT NULL,
    expires_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, asked_by, idempotency_key)
) STRICT, WITHOUT ROWID;

-- Here and below: of two looks that began together, that of the later task counts as the later one.
CREATE TABLE assets (
    tenant_id  BLOB NOT NULL REFERENCES tenants,
    asset_key  BLOB NOT NULL,
    kind       TEXT NOT NULL,
    identity   TEXT NOT NULL,
    body       TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    task_id    BLOB NOT NULL,
    PRIMARY KEY (tenant_id, asset_key)
) STRICT, WITHOUT ROWID;
-- What is new?
CREATE INDEX assets_by_first_seen ON assets (tenant_id, first_seen, asset_key);

CREATE TABLE findings (
    tenant_id   BLOB NOT NULL REFERENCES tenants,
    fingerprint BLOB NOT NULL,
    check_id    TEXT NOT NULL,
    severity    INTEGER NOT NULL,
    location    TEXT NOT NULL,
    body        TEXT NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    task_id     BLOB NOT NULL,
    decided_at  INTEGER,
    verdict     TEXT,
    decided_by  TEXT,
    reason      TEXT,
    PRIMARY KEY (tenant_id, fingerprint)
) STRICT, WITHOUT ROWID;
CREATE INDEX findings_by_severity ON findings (tenant_id, severity, first_seen, fingerprint);

-- A finding at one unit: each place where it was seen has looks of its own.
CREATE TABLE sightings (
    tenant_id   BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    unit_key    BLOB NOT NULL,
    check_id    TEXT NOT NULL,
    address     TEXT,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    task_id     BLOB NOT NULL,
    last_missed INTEGER,
    PRIMARY KEY (tenant_id, fingerprint, unit_key),
    FOREIGN KEY (tenant_id, fingerprint) REFERENCES findings ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX sightings_at_unit ON sightings (tenant_id, unit_key);

-- What a scan saw: what two scans differ in is the difference of these.
CREATE TABLE observations (
    tenant_id BLOB NOT NULL,
    scan_id   TEXT NOT NULL,
    kind      TEXT NOT NULL,
    subject   BLOB NOT NULL,
    looks     BLOB NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, kind, subject),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Large documents beside what they belong to: here, or in object storage by that key.
CREATE TABLE evidence (
    tenant_id   BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    scan_id     TEXT NOT NULL,
    body        TEXT,
    object      TEXT,
    taken_at    INTEGER NOT NULL,
    task_id     BLOB NOT NULL,
    PRIMARY KEY (tenant_id, fingerprint),
    CHECK ((body IS NULL) <> (object IS NULL)),
    FOREIGN KEY (tenant_id, fingerprint) REFERENCES findings ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
-- Which of these objects does a finding still name?
CREATE INDEX evidence_objects ON evidence (tenant_id, object) WHERE object IS NOT NULL;

CREATE TABLE schedules (
    tenant_id    BLOB NOT NULL REFERENCES tenants,
    schedule_id  BLOB NOT NULL,
    name         TEXT NOT NULL,
    rule         TEXT NOT NULL,
    request      TEXT NOT NULL,
    targets      TEXT NOT NULL,
    enabled      INTEGER NOT NULL,
    progress     TEXT NOT NULL,
    look_again   INTEGER,
    last_scan    TEXT,
    refused      TEXT,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, schedule_id),
    UNIQUE (tenant_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_by_scan ON schedules (tenant_id, last_scan);
CREATE INDEX schedules_to_look_at ON schedules (look_again) WHERE enabled;

-- Where tenants are told what happens to them, and up to where in that they were given it. Secrets are none of it: they follow from the
-- key of the installation.
CREATE TABLE webhooks (
    tenant_id        BLOB NOT NULL REFERENCES tenants,
    webhook_id       BLOB NOT NULL,
    name             TEXT NOT NULL,
    url              TEXT NOT NULL,
    events           TEXT NOT NULL,
    enabled          INTEGER NOT NULL,
    followed         INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    created_by       TEXT NOT NULL,
    secret_number    INTEGER NOT NULL,
    old_secrets      TEXT NOT NULL,
    delivered_at     INTEGER,
    failing_since    INTEGER,
    failure          TEXT,
    missed_until     INTEGER,
    PRIMARY KEY (tenant_id, webhook_id),
    UNIQUE (tenant_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE stops (
    stop_id    BLOB PRIMARY KEY,
    reach      TEXT NOT NULL,
    authority  TEXT NOT NULL,
    reason     TEXT NOT NULL,
    ordered_by TEXT NOT NULL,
    ordered_at INTEGER NOT NULL,
    lifted_at  INTEGER,
    lifted_by  TEXT,
    why_lifted TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX stops_in_force ON stops (ordered_at) WHERE lifted_at IS NULL;
-- Who orders what holds already orders nothing more.
CREATE UNIQUE INDEX stops_hold_once ON stops (reach, authority) WHERE lifted_at IS NULL;

CREATE TABLE leaders (
    office       TEXT PRIMARY KEY,
    worker       BLOB NOT NULL,
    lease_number INTEGER NOT NULL,
    lease_until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
    worker      BLOB PRIMARY KEY,
    stages      TEXT NOT NULL,
    version     TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    -- The machine, or the pod.
    machine     TEXT,
    started_at  INTEGER NOT NULL,
    last_heard  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys of programs, as digests.
CREATE TABLE keys (
    tenant_id  BLOB NOT NULL REFERENCES tenants,
    prefix     TEXT NOT NULL,
    digest     BLOB NOT NULL,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    networks   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    last_used  INTEGER,
    replaced   TEXT,
    PRIMARY KEY (prefix)
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_of_tenant ON keys (tenant_id, name);
CREATE INDEX keys_of_role ON keys (tenant_id, role);

-- Roles that tenants make, beside those that every tenant has.
CREATE TABLE roles (
    tenant_id   BLOB NOT NULL REFERENCES tenants,
    name        TEXT NOT NULL,
    permissions TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- People who may log in.
CREATE TABLE users (
    tenant_id     BLOB NOT NULL REFERENCES tenants,
    user_id       BLOB NOT NULL,
    name          TEXT NOT NULL,
    role          TEXT NOT NULL,
    password      TEXT,
    invitation    BLOB UNIQUE,
    invited_until INTEGER,
    networks      TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    created_by    TEXT NOT NULL,
    disabled_at   INTEGER,
    last_login    INTEGER,
    issuer        TEXT,
    subject       TEXT,
    second_factor TEXT,
    PRIMARY KEY (tenant_id, user_id),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX users_of_role ON users (tenant_id, role);

-- People who have logged in. Tokens as digests.
CREATE TABLE sessions (
    tenant_id  BLOB NOT NULL,
    session_id BLOB NOT NULL,
    user_id    BLOB NOT NULL,
    digest     BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    last_used  INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    origin     TEXT,
    PRIMARY KEY (tenant_id, session_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (tenant_id, user_id, last_used);

-- All that is said about one finding, or one scan. Whoever adds to it holds its row, and with it the last number.
CREATE TABLE conversations (
    tenant_id       BLOB NOT NULL REFERENCES tenants,
    conversation_id BLOB NOT NULL,
    fingerprint     BLOB,
    scan_id         TEXT,
    comments        INTEGER NOT NULL DEFAULT 0,
    last_at         INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, conversation_id),
    CHECK ((fingerprint IS NULL) <> (scan_id IS NULL)),
    FOREIGN KEY (tenant_id, fingerprint) REFERENCES findings ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX conversations_about_findings ON conversations (tenant_id, fingerprint) WHERE fingerprint IS NOT NULL;
CREATE UNIQUE INDEX conversations_about_scans ON conversations (tenant_id, scan_id) WHERE scan_id IS NOT NULL;
CREATE INDEX conversations_by_time ON conversations (tenant_id, last_at, conversation_id);

-- Who wrote it is told beside it: it outlives them. What was taken back keeps its row without a text.
CREATE TABLE comments (
    tenant_id       BLOB NOT NULL,
    comment_id      BLOB NOT NULL,
    conversation_id BLOB NOT NULL,
    number          INTEGER NOT NULL,
    answers         BLOB,
    user_id         BLOB,
    key_prefix      TEXT,
    author          TEXT NOT NULL,
    body            TEXT,
    written_at      INTEGER NOT NULL,
    edits           INTEGER NOT NULL DEFAULT 0,
    edited_at       INTEGER,
    deleted_at      INTEGER,
    deleted_by      TEXT,
    PRIMARY KEY (tenant_id, comment_id),
    UNIQUE (tenant_id, conversation_id, number),
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, answers) REFERENCES comments
) STRICT, WITHOUT ROWID;
CREATE INDEX comments_that_answer ON comments (tenant_id, answers) WHERE answers IS NOT NULL;

-- What comments said before they were said in other words.
CREATE TABLE comment_edits (
    tenant_id   BLOB NOT NULL,
    comment_id  BLOB NOT NULL,
    number      INTEGER NOT NULL,
    body        TEXT NOT NULL,
    written_at  INTEGER NOT NULL,
    replaced_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, comment_id, number),
    FOREIGN KEY (tenant_id, comment_id) REFERENCES comments ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Whom comments mention.
CREATE TABLE mentions (
    tenant_id    BLOB NOT NULL,
    comment_id   BLOB NOT NULL,
    user_id      BLOB NOT NULL,
    mentioned_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, comment_id, user_id),
    FOREIGN KEY (tenant_id, comment_id) REFERENCES comments ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_of_user ON mentions (tenant_id, user_id, mentioned_at, comment_id);

-- How far people have read: up to the comment with that number, and when they said so.
CREATE TABLE read_marks (
    tenant_id       BLOB NOT NULL,
    user_id         BLOB NOT NULL,
    conversation_id BLOB NOT NULL,
    number          INTEGER NOT NULL,
    read_at         INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id, conversation_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX read_marks_in_conversation ON read_marks (tenant_id, conversation_id);

CREATE TABLE audit (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id BLOB,
    position  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    origin    TEXT,
    request   TEXT,
    action    TEXT NOT NULL,
    refused   INTEGER NOT NULL,
    subject   TEXT NOT NULL,
    detail    TEXT NOT NULL,
    before    TEXT,
    after     TEXT,
    seal      TEXT NOT NULL
) STRICT;
CREATE INDEX audit_of_tenant ON audit (tenant_id, sequence);
-- What is of no tenant has a chain, too.
CREATE UNIQUE INDEX audit_chain ON audit (coalesce(tenant_id, x'00000000000000000000000000000000'), position);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END;
-- But for what a checkpoint says is purged, and that is never taken back.
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
    WHEN OLD.position > coalesce((SELECT purged FROM audit_checkpoints AS last
        WHERE last.tenant_id = coalesce(OLD.tenant_id, x'00000000000000000000000000000000') ORDER BY number DESC LIMIT 1), 0)
    BEGIN SELECT RAISE(ABORT, 'the audit is never deleted, but for what was purged'); END;

-- What happened within the last hour, for whoever follows it.
CREATE TABLE happenings (
    tenant_id BLOB NOT NULL REFERENCES tenants,
    position  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, position)
) STRICT, WITHOUT ROWID;
-- The last number of each tenant.
CREATE TABLE happening_ends (
    tenant_id BLOB NOT NULL PRIMARY KEY REFERENCES tenants,
    position  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX happenings_by_age ON happenings (at);

-- Where each chain ends, how many checkpoints it has, and of which entry the last one is. That of no tenant has the id of nothing.
CREATE TABLE audit_ends (
    tenant_id   BLOB NOT NULL PRIMARY KEY,
    position    INTEGER NOT NULL,
    seal        TEXT NOT NULL,
    checkpoints INTEGER NOT NULL DEFAULT 0,
    signed      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Here, too, what is of no tenant has the id of nothing.
CREATE TABLE audit_checkpoints (
    tenant_id BLOB NOT NULL,
    number    INTEGER NOT NULL,
    purged    INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    seal      TEXT NOT NULL,
    at        INTEGER NOT NULL,
    before    TEXT NOT NULL,
    key       TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (tenant_id, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER checkpoints_are_not_changed BEFORE UPDATE ON audit_checkpoints
    BEGIN SELECT RAISE(ABORT, 'a checkpoint is never changed'); END;
CREATE TRIGGER checkpoints_are_not_deleted BEFORE DELETE ON audit_checkpoints
    BEGIN SELECT RAISE(ABORT, 'a checkpoint is never deleted'); END;
