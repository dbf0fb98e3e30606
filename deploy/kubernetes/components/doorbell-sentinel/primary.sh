#!/bin/sh
# For the scripts beside it: finds the primary that the Sentinels know. Where none knows one, all begin anew, and it is the first pod.
primary=''
for number in 0 1 2; do
    known="$(timeout 2 redis-cli -h "doorbell-$number.$DOMAIN" -p 26379 --raw sentinel get-master-addr-by-name rampart 2>/dev/null | head -n 1 || true)"
    case $known in doorbell-*) primary=$known && break ;; esac
done
primary="${primary:-doorbell-0.$DOMAIN}"
