#!/bin/sh
# Begins as a replica of the primary that the Sentinels know. Where none knows one, all begin anew, and the first pod is the primary.
set -eu
self="$(hostname).$DOMAIN"
password="$(cat /run/secrets/doorbell/password)"
primary=''
for number in 0 1 2; do
    known="$(timeout 2 redis-cli -h "doorbell-$number.$DOMAIN" -p 26379 --raw sentinel get-master-addr-by-name rampart 2>/dev/null | head -n 1 || true)"
    case $known in doorbell-*) primary=$known && break ;; esac
done
primary="${primary:-doorbell-0.$DOMAIN}"
{
    cat /etc/redis/redis.conf
    printf 'requirepass %s\nmasterauth %s\nreplica-announce-ip %s\n' "$password" "$password" "$self"
    [ "$primary" = "$self" ] || printf 'replicaof %s 6379\n' "$primary"
} >/run/redis/redis.conf
# Sentinel changes of whom it is a replica: the file is its own.
exec redis-server /run/redis/redis.conf
