#!/usr/bin/env bash
# A comparison to look at: two throwaway PostgreSQL servers, a monolith on one, the service that takes
# over from it on the other, and a few rows that went wrong between them.
#
#   examples/quickstart.sh         build, start both servers, compare, say what to try next
#   examples/quickstart.sh stop    stop the servers and remove their files
#
# The servers' files are below cargo's target folder. They listen on 127.0.0.1 for a role that may only
# read; the superuser gets in through a socket alone, in a folder that is closed to others. Each run
# starts from nothing, so that what was tried the last time is gone. The report is held against the lines
# "-- planted:" of quickstart/tracking.sql; one finding more or less is a failure.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/support/postgres.sh
. tests/support/postgres.sh

readonly SPEC=specs/tracking.toml

build() {
    local line
    has cargo || die 'there is no cargo here' '' 'Install Rust: https://rustup.rs'
    say 'building pgreconcile (the first time takes some minutes)'
    # Where cargo is goes into one line of the terminal, and all that it says is shown if it fails.
    cargo build --release --color never 2>&1 | tee "$home/build.log" | while IFS= read -r line; do
        if [ -t 2 ]; then printf '\r\033[K%.78s' "$line" >&2; fi
    done || { cat "$home/build.log" >&2 && die 'pgreconcile does not build'; }
    if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

# Whether something answers on a port of this machine.
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Runs psql as the superuser of a server.
sql() {
    local server=$1
    shift
    "$PGRECONCILE_PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$home/$server" -p "$port" -U postgres "$@"
}

# Makes a server with a database of the same name, on the first free port from `port` on.
start() {
    local name=$1
    local folder=$home/$name
    mkdir -m 700 "$folder"
    if is_root; then chown "$(server_user)" "$folder"; fi
    as_server_user "$PGRECONCILE_PG_BIN/initdb" -U postgres -A trust --no-sync -E UTF8 --locale=C \
        -D "$folder/data" >"$home/initdb.log" 2>&1 ||
        die 'initdb fails' "$(tail -n 3 "$home/initdb.log")"
    while is_taken "$port"; do port=$((port + 1)); done
    printf '%s\n' 'local all all trust' "host $name reader 127.0.0.1/32 trust" \
        >"$folder/data/pg_hba.conf"
    printf '%s\n' "port = $port" "listen_addresses = '127.0.0.1'" \
        "unix_socket_directories = '$folder'" 'fsync = off' >>"$folder/data/postgresql.conf"
    as_server_user "$PGRECONCILE_PG_BIN/pg_ctl" -s -w -D "$folder/data" -l "$folder/log" start ||
        die "the server of \"$name\" does not start" "$(tail -n 3 "$folder/log")"
    sql "$name" -d postgres -c "create database $name"
    sql "$name" -d "$name" -f "examples/quickstart/$name.sql"
}

# Stops a server, if the process that its files name is still that server and not a later one.
stop_server() {
    local data=$1/data pid waited=0
    [ -e "$data/postmaster.pid" ] || return 0
    pid=$(head -n 1 "$data/postmaster.pid")
    case $({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -o args= -p "$pid"; } 2>/dev/null) in
        *"$data"*) kill -INT "$pid" ;;
        *) return 0 ;;
    esac
    while [ -e "$data/postmaster.pid" ]; do
        if [ "$waited" = 100 ]; then kill -QUIT "$pid" && return; fi
        waited=$((waited + 1))
        sleep 0.1
    done
}

# Stops what an earlier run has left, and removes its files.
stop() {
    local place
    place=$(target_folder)/quickstart
    if [ ! -d "$place" ]; then
        rm -f "$place"
        return
    fi
    home=$(cd -P "$place" && pwd)
    stop_server "$home/monolith"
    stop_server "$home/tracking"
    rm -rf "$home" "$place"
}

# Findings as "mapping kind key", a line each.
told() {
    sed -n 's/^{"type":"finding".*"mapping":"\([^"]*\)","kind":"\([^"]*\)".*"key":{"[a-z_]*":"\([^"]*\)"}.*/\1 \2 \3/p' \
        "$1" | sort
}

compare() {
    local code=0 planted
    export PATH=$program:$PATH PGRECONCILE_SETTLE=1s
    # Beside the spec it would be a file more in the repository.
    export PGRECONCILE_LEDGER=$home/ledger.db
    export MONOLITH_URL=$monolith_url TRACKING_URL=$tracking_url
    printf '\n$ pgreconcile compare %s\n\n' "$SPEC"
    PGRECONCILE_REPORT=$home/findings.jsonl pgreconcile compare "$SPEC" || code=$?
    planted=$(sed -n 's/^-- planted: //p' examples/quickstart/tracking.sql | sort)
    if [ "$code" != 1 ] || [ "$planted" != "$(told "$home/findings.jsonl")" ]; then
        printf '\nplanted:\n%s\n\nfound:\n%s\n\n' "$planted" "$(told "$home/findings.jsonl")" >&2
        die "the comparison did not find what was planted (exit code $code)"
    fi
    printf '\nThese are the %s differences that were planted, and no other; hence exit code 1.\n' \
        "$(printf '%s\n' "$planted" | grep -c .)"
}

advise() {
    local psql=psql
    has psql || psql=$(printf '%q' "$PGRECONCILE_PG_BIN/psql")
    cat <<ADVICE
examples/quickstart/tracking.sql says how each of them came about.

The servers stay up. To look further, paste this:

  cd $(printf '%q' "$PWD")
  export PATH=$(printf '%q' "$program"):\$PATH
  export MONOLITH_URL=$monolith_url
  export TRACKING_URL=$tracking_url
  export PGRECONCILE_SETTLE=1s    # nobody writes here but you
  export PGRECONCILE_LEDGER=$(printf '%q' "$home/ledger.db")

What a comparison would do, then one mapping's findings for a machine:

  pgreconcile plan $SPEC
  pgreconcile compare $SPEC --mapping event --format jsonl

Mend the refund in the service, and compare again:

  $psql -h $(printf '%q' "$home/tracking") -p $port -U postgres tracking \\
    -c 'update tracking.charge set amount = -amount where charge_id = 620'
  pgreconcile compare $SPEC

Both runs, and what has gone since the first:

  pgreconcile history $SPEC

Let the monolith be right, write scripts that repair the service, and apply
them as a role that may write:

  pgreconcile repair $SPEC --authority source --out $(printf '%q' "$home/repair")
  export TRACKING_URL="host='$home/tracking' port=$port user=postgres dbname=tracking"
  pgreconcile apply $SPEC $(printf '%q' "$home/repair") --execute

Stop the servers and remove their files:

  ./examples/quickstart.sh stop
ADVICE
}

case ${1:-} in
    '') ;;
    stop)
        stop
        say 'the servers are stopped and their files removed'
        exit
        ;;
    *) die "\"$1\" is not known here" '' 'Call it with nothing, or with stop.' ;;
esac

find_postgres
# What a shell holds for other servers, or for other runs of pgreconcile, is not for these.
for name in $(compgen -e PG); do
    [ "$name" = PGRECONCILE_PG_BIN ] || unset "$name"
done
stop
private_folder quickstart || die "no folder for the servers' files"
home=$found
program=$(target_folder)/release

build
trap stop EXIT
trap 'exit 130' INT TERM
say "starting two servers: $("$PGRECONCILE_PG_BIN/postgres" --version)"
port=25432
start monolith
monolith_url=postgresql://reader@127.0.0.1:$port/monolith
start tracking
tracking_url=postgresql://reader@127.0.0.1:$port/tracking
compare
trap - EXIT
advise
