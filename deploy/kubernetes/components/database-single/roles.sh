#!/bin/bash
# Runs once, when the volume is empty: the users that Rampart comes as, and its database.
set -euo pipefail
psql --set=ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname postgres \
    --set=owner="$(cat /run/secrets/owner/password)" --set=app="$(cat /run/secrets/app/password)" <<'SQL'
CREATE ROLE rampart_owner LOGIN CREATEROLE PASSWORD :'owner';
CREATE ROLE rampart_app LOGIN PASSWORD :'app';
CREATE DATABASE rampart OWNER rampart_owner;
SQL
