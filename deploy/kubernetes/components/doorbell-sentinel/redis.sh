#!/bin/sh
# Begins as a replica of the primary, unless it is the primary itself.
set -eu
self="$(hostname).$DOMAIN"
password="$(cat /run/secrets/doorbell/password)"
# It says which is the primary.
# shellcheck disable=SC2154
. /etc/redis/primary.sh
. /etc/redis/password.sh
{
    cat /etc/redis/redis.conf
    printf 'requirepass %s\nmasterauth %s\nreplica-announce-ip %s\n' "$password" "$password" "$self"
    [ "$primary" = "$self" ] || printf 'replicaof %s 6379\n' "$primary"
} >/run/redis/redis.conf
(
    export REDISCLI_AUTH="$password"
    follow 6379 'ACL SETUSER default >%s' 'CONFIG SET masterauth %s' 'CONFIG SET requirepass %s'
) &
# Sentinel changes of whom it is a replica: the file is its own.
exec redis-server /run/redis/redis.conf
