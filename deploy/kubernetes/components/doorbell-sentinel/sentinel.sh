#!/bin/sh
# Watches the primary. What it learns is kept for as long as the pod is there; a new one is told by the others.
set -eu
self="$(hostname).$DOMAIN"
primary=''
for number in 0 1 2; do
    known="$(timeout 2 redis-cli -h "doorbell-$number.$DOMAIN" -p 26379 --raw sentinel get-master-addr-by-name rampart 2>/dev/null | head -n 1 || true)"
    case $known in doorbell-*) primary=$known && break ;; esac
done
{
    cat /etc/redis/sentinel.conf
    printf 'sentinel announce-ip %s\n' "$self"
    printf 'sentinel monitor rampart %s 6379 2\n' "${primary:-doorbell-0.$DOMAIN}"
    printf 'sentinel auth-pass rampart %s\n' "$(cat /run/secrets/doorbell/password)"
    printf 'sentinel down-after-milliseconds rampart 10000\nsentinel failover-timeout rampart 30000\nsentinel parallel-syncs rampart 1\n'
} >/sentinel/sentinel.conf
exec redis-sentinel /sentinel/sentinel.conf
