# Builds programs from their public Go modules, into a cache that git ignores. Sourced by tests/cluster/build and
# tests/servers/build, which say with these what there is to build:
#
#   name      what the cache is called: target/NAME-bin
#   groups    all groups, in the order in which they are built
#   group G   prints the programs of a group, one `module:package` a line; a package's last element is the program's name
#   module M  prints the module whose version is that of everything in modules/M
#   flags M V prints what the linker writes into the programs of module M at version V
#
# A folder is named after its module's version, which is read from that module's go.mod and written nowhere else:
# target/cluster-bin/etcd-v3.6.16/etcd. What is there is not built again.

fail() { echo "tests/$name/build: $*" >&2; exit 1; }

program() { case $1 in go.etcd.io/*) echo etcd ;; */v[0-9]) program "${1%/*}" ;; *) echo "${1##*/}" ;; esac; }

# The version a module's go.mod asks for: v1.34.4.
version() {
    awk -v m="$(module "$1")" '$1 == m { print $2; exit } $1 == "require" && $2 == m { print $3; exit }' \
        "$here/modules/$1/go.mod"
}

build() {
    local module=$1 package=$2 v program dir started
    v=$(version "$module")
    program=$(program "$package")
    dir=$cache/$module-$v
    [[ -x $dir/$program ]] && return
    mkdir -p "$dir"
    echo "building $program $v" >&2
    started=$SECONDS
    # Beside its place and then moved: a build that was interrupted leaves nothing that looks finished.
    (cd "$here/modules/$module" && CGO_ENABLED=0 GOWORK=off nice -n 15 \
        go build -mod=readonly -trimpath -ldflags "$(flags "$module" "$v")" -o "$dir/.$program.new" "$package") \
        || fail "$program $v did not build"
    mv "$dir/.$program.new" "$dir/$program"
    echo "built $program $v in $((SECONDS - started)) s" >&2
}

# Builds, or with `--list` lists, the programs of the groups that are named, or of all.
build_programs() {
    local list=no wanted=() argument one module package programs complete=yes
    for argument in "$@"; do
        case $argument in
            --list) list=yes ;;
            *)
                [[ " ${groups[*]} " == *" $argument "* ]] \
                    || fail "there is no '$argument'; usage: build [--list] $(printf '[%s] ' "${groups[@]}")"
                wanted+=("$argument")
                ;;
        esac
    done
    [[ ${#wanted[@]} -gt 0 ]] || wanted=("${groups[@]}")
    programs=$(for one in "${wanted[@]}"; do group "$one"; done)
    [[ -n $programs ]] || return 0

    if [[ $list == yes ]]; then
        while IFS=: read -r module package; do
            echo "$(program "$package") $cache/$module-$(version "$module")/$(program "$package")"
        done <<<"$programs"
        return
    fi

    # Nothing to do must not wait for somebody else's build.
    while IFS=: read -r module package; do
        [[ -x $cache/$module-$(version "$module")/$(program "$package") ]] || complete=no
    done <<<"$programs"
    [[ $complete == no ]] || return 0

    command -v go >/dev/null || fail "the Go toolchain is needed (1.26 or newer): https://go.dev/dl/"
    lock
    while IFS=: read -r module package <&3; do
        build "$module" "$package"
    done 3<<<"$programs"
}

# One build at a time in one cache; the lock ends with this process.
lock() {
    exec 9>"$cache/.lock"
    flock --nonblock 9 || { echo "waiting for another tests/$name/build" >&2; flock 9; }
}

here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
cache=${CARGO_TARGET_DIR:-$here/../../target}/$name-bin
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
