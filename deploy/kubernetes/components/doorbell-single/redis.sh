#!/bin/sh
# The password comes by standard input, so that it is in no list of processes.
set -eu
password="$(cat /run/secrets/doorbell/password)"
. /etc/redis/password.sh
(
    export REDISCLI_AUTH="$password"
    follow 6379 'ACL SETUSER default >%s' '' 'CONFIG SET requirepass %s'
) &
exec redis-server - <<CONFIGURATION
$(cat /etc/redis/redis.conf)
requirepass $password
CONFIGURATION
