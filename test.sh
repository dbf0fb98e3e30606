#!/usr/bin/env bash
# Everything that must hold, in the order in which it is cheapest to fail. Needs Rust, a C compiler and, on Debian, root: the tests
# talk to real servers, which are installed here and started by the tests on private addresses and directories.
set -euo pipefail
cd "$(dirname "$0")"

servers=(git curl nginx knot redis-server redis-sentinel rabbitmq-server postgresql pgtap pgbouncer openssh-server dovecot-imapd dovecot-pop3d dovecot-submissiond vsftpd memcached mosquitto openssl iproute2 nftables iputils-ping unzip g++ python3-venv chromium chromium-driver haproxy runc netavark golang-github-containers-common binutils ca-certificates)
# What of it is not there yet.
install_packages() {
    local missing=() package as_root=() policy=/usr/sbin/policy-rc.d made_policy=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    echo "installing: ${missing[*]}"
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    # No service may start by itself: the tests start their own.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod +x "$policy"
        made_policy=1
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    [ -z "$made_policy" ] || "${as_root[@]}" rm -f "$policy"
}
install_packages "${servers[@]}"

# name, version, what to install of it
install_tool() {
    local name=$1 version=$2 extras=${3:-} place=target/tools/$1
    if grep -qs "^$version$" "$place/version"; then
        return
    fi
    echo "installing: $name $version"
    rm -rf "$place"
    python3 -m venv "$place"
    "$place/bin/pip" install --quiet "$name$extras==$version"
    echo "$version" >"$place/version"
}
# Asks the API for whatever its document allows, and for much that it does not.
install_tool schemathesis 4.32.5
# A provider of identities, for people who log in by one.
install_tool canaille 0.3.6 "[front,oidc,sqlite]"

# Manifests are put together by kustomize, which is in Debian from release 13 on, and runs on release 12, too. Where Debian's packages come
# from, this machine's configuration says.
if [ ! -x target/tools/kustomize/usr/bin/kustomize ]; then
    echo "installing: kustomize"
    place=$PWD/target/tools/kustomize
    rm -rf "$place"
    mkdir -p "$place"/lists/partial "$place"/archives/partial
    debian() { apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | sed -n 's/^Debian Debian //p' | sort -u | head -n 1; }
    site=$(debian)
    if [ -z "$site" ]; then
        apt-get update -qq
        site=$(debian)
    fi
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site trixie main" >"$place/sources.list"
    touch "$place/status"
    cat >"$place/apt.conf" <<CONF
Dir::State "$place"; Dir::State::status "$place/status"; Dir::State::lists "$place/lists"; Dir::Cache "$place";
Dir::Etc::sourcelist "$place/sources.list"; Dir::Etc::sourceparts "-"; APT::Sandbox::User "root";
CONF
    APT_CONFIG=$place/apt.conf apt-get update -qq
    (cd "$place" && APT_CONFIG=$place/apt.conf apt-get download -qq kustomize && dpkg-deb -x kustomize_*.deb .)
    rm -rf "$place"/lists "$place"/archives "$place"/*.deb
fi
# The schemas of Kubernetes and of the operators whose resources are used; node reads those of operators.
command -v node >/dev/null && command -v npm >/dev/null || install_packages nodejs npm
schemas=crates/cluster/tests/it/schemas
stamp=$(cat "$schemas"/requirements.txt "$schemas"/package-lock.json | sha256sum)
if ! grep -qsF "$stamp" target/tools/schemas/version; then
    echo "installing: schemas of Kubernetes"
    rm -rf target/tools/schemas
    python3 -m venv target/tools/schemas
    target/tools/schemas/bin/pip install --quiet --no-deps -r "$schemas/requirements.txt"
    cp "$schemas"/package.json "$schemas"/package-lock.json target/tools/schemas/
    npm ci --prefix target/tools/schemas --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$stamp" >target/tools/schemas/version
fi
# Rules about manifests, beside our own; what is let into a cluster; what watches it.
install_tool checkov 3.3.30
install_tool cel-python 0.5.0
target/tools/cel-python/bin/pip install --quiet PyYAML==6.0.3
deploy/monitoring/install-tools --vrl >/dev/null

step() { printf '\n== %s\n' "$*"; "$@"; }

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
# The documentation is always built with private items, so links to them are fine.
RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" step cargo doc --workspace --no-deps --document-private-items --locked --quiet
# The fuzz targets are a workspace of their own: they must go on compiling, as cargo-fuzz compiles them.
step env RUSTFLAGS="--cfg fuzzing" cargo check --manifest-path fuzz/Cargo.toml --locked --quiet --target-dir target/fuzz
step target/tools/cel-python/bin/python -B deploy/kubernetes/components/policies/test
step target/tools/schemas/bin/python -B deploy/monitoring/check
if cargo deny --version >/dev/null 2>&1; then
    step cargo deny --offline check bans licenses sources
fi
# Most of them wait for a server more than for a core.
RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))} step cargo test --workspace --locked --no-fail-fast
