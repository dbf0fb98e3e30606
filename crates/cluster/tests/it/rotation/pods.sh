# Pods of a doorbell, in a network of their own that leads nowhere, each with the name and address that it has in a cluster, the files of
# its config map (in `$1`), a root that cannot be written to, and Debian's programs.
set -eu
configuration=$1
mount -t tmpfs tmpfs /run
mkdir -p /run/pods /run/secret
cd /run/pods
printf 'hosts: files\n' >/run/nsswitch.conf
echo '127.0.0.1 localhost' >/run/hosts
for number in 0 1 2; do echo "10.0.0.1$number doorbell-$number.doorbell" >>/run/hosts; done
ip link set lo up
ip link add between type bridge
ip link set between up

# What the secret is, as a kubelet changes it: at once.
secret() {
    printf %s "$1" >/run/secret/next
    mv /run/secret/next /run/secret/password
}

# Makes a pod.
pod() {
    mkdir -p "$1"
    mount -t tmpfs tmpfs "$1"
    (
        cd "$1"
        mkdir -p usr dev etc/redis run/redis run/secrets/doorbell data sentinel
        ln -s usr/bin usr/sbin usr/lib .
        [ ! -d /lib64 ] || ln -s usr/lib64 .
        cp /run/hosts /run/nsswitch.conf etc
        touch dev/null dev/urandom
        for device in null urandom; do mount --bind /dev/$device dev/$device; done
        mount --rbind /usr usr
        mount --bind "$configuration" etc/redis
        mount --bind /run/secret run/secrets/doorbell
        for writable in run/redis data sentinel; do mount -t tmpfs tmpfs $writable; done
        mount -o remount,ro,bind .
    )
    ip netns add "$1"
    ip link add "to-$1" type veth peer name eth0 netns "$1"
    ip link set "to-$1" master between up
    ip -netns "$1" link set lo up
    ip -netns "$1" address add "10.0.0.1${1#doorbell-}/24" dev eth0
    ip -netns "$1" link set eth0 up
}

# Runs something in a pod.
within() {
    pod=$1
    shift
    ${replace:-} nsenter --net="/run/netns/$pod" unshare --uts \
        sh -c 'hostname "$1" && cd "$1" && shift && exec chroot . "$@"' sh "$pod" "$@"
}

# Begins a container of a pod by one of its scripts, and says which process that is.
container() {
    replace=exec within "$1" env DOMAIN=doorbell PAUSE=0.1 sh "/etc/redis/$2.sh" >>"/run/$1-$2.log" 2>&1 &
    echo "$!"
}

# Asks Redis with that password.
ask() {
    asked=$1 password=$2
    shift 2
    within "$asked" env REDISCLI_AUTH="$password" redis-cli "$@"
}

# Does what it is told, one line after the other.
while read -r line; do
    status=0
    eval "$line" </dev/null 2>&1 || status=$?
    echo "ended $status"
done
