#!/bin/bash
# Runs when the volume is empty, and by hand on one that is not: the user who copies the database, and the way in for them.
set -euo pipefail
PGPASSWORD=$(cat /run/secrets/superuser/password)
export PGPASSWORD
# They may replicate, and do nothing else.
entry='host replication rampart_backup all scram-sha-256'
grep --quiet --line-regexp --fixed-strings "$entry" "$PGDATA/pg_hba.conf" || printf '%s\n' "$entry" >>"$PGDATA/pg_hba.conf"
psql --set=ON_ERROR_STOP=1 --quiet --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set=backup="$(cat /run/secrets/backup/password)" <<'SQL'
SELECT 'CREATE ROLE rampart_backup' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rampart_backup') \gexec
ALTER ROLE rampart_backup LOGIN REPLICATION PASSWORD :'backup';
SELECT pg_reload_conf() \g /dev/null
SQL
