#!/bin/sh
# The password comes by standard input, so that it is in no list of processes.
set -eu
exec redis-server - <<CONFIGURATION
$(cat /etc/redis/redis.conf)
requirepass $(cat /run/secrets/doorbell/password)
CONFIGURATION
