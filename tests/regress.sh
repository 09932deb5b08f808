#!/usr/bin/env bash
# PostgreSQL's own regression tests as the yardstick: every table that they leave behind is compared with
# a copy of it, and with its values changed one by one. `tests/compare/regression_tables.rs` says how.
#
#   tests/regress.sh
#
# Needs Debian's or Ubuntu's package manager, whose server it takes, and a C compiler. The source of the
# server's version is fetched once and kept in cargo's folder.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/support/postgres.sh
. tests/support/postgres.sh
# shellcheck source=tests/support/source.sh
. tests/support/source.sh

find_postgres
tried=''
regression_tests || die "PostgreSQL's regression tests cannot be had" "$tried."
export PGRECONCILE_REGRESS=$found
exec cargo test --test all -- --ignored --exact --nocapture \
    compare::regression_tables::every_regression_table_and_each_changed_value
