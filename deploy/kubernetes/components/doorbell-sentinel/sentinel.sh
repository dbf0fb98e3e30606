#!/bin/sh
# Watches the primary. What it learns is kept for as long as the pod is there; a new one is told by the others.
set -eu
self="$(hostname).$DOMAIN"
password="$(cat /run/secrets/doorbell/password)"
# It says which is the primary.
# shellcheck disable=SC2154
. /etc/redis/primary.sh
. /etc/redis/password.sh
{
    cat /etc/redis/sentinel.conf
    printf 'sentinel announce-ip %s\n' "$self"
    printf 'sentinel monitor rampart %s 6379 2\n' "$primary"
    printf 'sentinel auth-pass rampart %s\n' "$password"
    printf 'sentinel down-after-milliseconds rampart 10000\nsentinel failover-timeout rampart 30000\nsentinel parallel-syncs rampart 1\n'
} >/sentinel/sentinel.conf
follow 26379 '' 'SENTINEL SET rampart auth-pass %s' '' &
exec redis-sentinel /sentinel/sentinel.conf
