#!/usr/bin/env bash
# Every test, on any machine: sees to PostgreSQL's server and PgBouncer first, then runs what cargo has.
#
#   tests/run.sh [ARGUMENT…]     arguments go to cargo test: tests/run.sh scenarios -- --nocapture
#
# The integration tests come last, so that the last line is their summary and stands for them all: what
# goes wrong before ends the run.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/support/postgres.sh
. tests/support/postgres.sh
# shellcheck source=tests/support/source.sh
. tests/support/source.sh

find_postgres
find_pgbouncer
say "servers: $("$PGRECONCILE_PG_BIN/postgres" --version), $("$PGRECONCILE_PGBOUNCER" --version | head -n 1)"

# A test waits half of its time, and those that wait longest are spread over the alphabet.
cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$((cores * 3))}"

# The tests create and drop over a thousand databases of some 300 files each. Where there is memory
# enough they lie there: at most 6 GB at a time.
free_in_memory() {
    local memory room
    memory=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo 2>/dev/null)
    room=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
    [ "${memory:-0}" -gt 14000000 ] && [ "${room:-0}" -gt 8000000 ]
}
if [ -z "${PGRECONCILE_TEST_FOLDER:-}" ] && free_in_memory; then
    export PGRECONCILE_TEST_FOLDER=/dev/shm
fi

# Whoever names what to test gets that, and in one go.
for argument; do
    case $argument in
        --) break ;;
        --doc | --lib | --bin | --bin=* | --bins | --test | --test=* | --tests | --bench | --bench=* | \
            --benches | --example | --example=* | --examples | --all-targets)
            exec cargo test "$@"
            ;;
    esac
done

cargo test --doc "$@"
cargo test --lib --bins "$@"
# PostgreSQL's own regression tests too, where their source can be had: else they are told as ignored.
if [ $# = 0 ]; then
    tried=''
    if regression_tests; then
        export PGRECONCILE_REGRESS=$found
        set -- -- --include-ignored
    else
        say "PostgreSQL's regression tests cannot be had, and are left out: $tried"
    fi
fi
cargo test --test all "$@"
