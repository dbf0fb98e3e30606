#!/bin/sh
# The password and the cookie by which the nodes know one another come from files that only this user reads.
set -eu
umask 077
{
    cat /etc/rampart/rabbitmq.conf
    printf 'default_pass = %s\n' "$(cat /run/secrets/doorbell/password)"
} >/run/rabbitmq/rabbitmq.conf
# The one before cannot be written to.
rm -f /var/lib/rabbitmq/.erlang.cookie
cat /run/secrets/cookie/cookie >/var/lib/rabbitmq/.erlang.cookie
chmod 400 /var/lib/rabbitmq/.erlang.cookie
exec rabbitmq-server
