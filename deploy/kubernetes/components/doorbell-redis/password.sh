#!/bin/sh
# For the scripts beside it: gives what listens here another password when the file has one, without a new start. No two hear of it at
# the same moment, so each takes both for ten minutes. After five all of them do, and each comes to the others by the new one.

# By that port, with these commands: to take a password beside the one before, to come by it, to take no other.
follow() {
    port=$1 take=$2 come=$3 leave=$4
    taken=$password stage=still rounds=0
    while sleep "${PAUSE:-5}" && kill -0 "$$" 2>/dev/null; do
        wanted="$(cat /run/secrets/doorbell/password)" && [ -n "$wanted" ] || continue
        rounds=$((rounds + 1))
        if [ "$wanted" != "$taken" ]; then
            tell "$take" "$wanted" || continue
            taken=$wanted stage=both rounds=0
            echo "doorbell: the password is another one now, and the one before goes on for ten minutes"
        elif [ "$stage" = both ] && [ "$rounds" -ge 60 ]; then
            tell "$come" "$taken" && stage=new
        elif [ "$stage" = new ] && [ "$rounds" -ge 120 ]; then
            tell "$leave" "$taken" || continue
            [ -z "${REDISCLI_AUTH:-}" ] || REDISCLI_AUTH=$taken
            stage=still
            echo "doorbell: the password before is taken no more"
        fi
    done
}

# By standard input, so that it is in no list of processes.
tell() {
    [ -n "$1" ] || return 0
    answer="$(printf "$1\n" "$2" | redis-cli -p "$port" 2>&1)"
    [ "$answer" = OK ] || { echo "doorbell: the password stays as it was: $answer" >&2 && return 1; }
}
