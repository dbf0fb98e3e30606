#!/bin/sh
# The password and the cookie by which the nodes know one another come from files that only this user reads.
set -eu
umask 077
{
    cat /etc/rampart/*.conf
    printf 'default_pass = %s\n' "$(cat /run/secrets/doorbell/password)"
} >/run/rabbitmq/rabbitmq.conf
# The one before cannot be written to.
rm -f /var/lib/rabbitmq/.erlang.cookie
cat /run/secrets/cookie/cookie >/var/lib/rabbitmq/.erlang.cookie
chmod 400 /var/lib/rabbitmq/.erlang.cookie

# What stands above is for the first start of all: from then on the user is in the volume, with the password of that time. So it is told
# at every start, and when the file has another one. The password comes by standard input, so that it is in no list of processes.
follow() {
    told=''
    while sleep "${PAUSE:-5}" && kill -0 "$$" 2>/dev/null; do
        wanted="$(cat /run/secrets/doorbell/password)" && [ -n "$wanted" ] && [ "$wanted" != "$told" ] || continue
        rabbitmqctl --silent await_startup >/dev/null 2>&1 || continue
        answer="$(printf '%s\n' "$wanted" | rabbitmqctl --silent change_password rampart 2>&1)" || {
            echo "doorbell: the password stays as it was: $answer" >&2
            continue
        }
        told=$wanted
        echo "doorbell: the password is that of the file"
    done
}
follow &
exec rabbitmq-server
