# Short words for what scripts and cargo do. Nothing depends on them.

set positional-arguments

# two throwaway servers and a comparison; `just demo stop` removes them
demo *arguments:
    ./examples/quickstart.sh "$@"

# every test; arguments go to cargo: `just test scenarios -- --nocapture`
test *arguments:
    ./tests/run.sh "$@"

# unit tests alone: no server needed
unit *arguments:
    cargo test --lib --bins "$@"

# the scenarios between two major versions: `just majors 16 17`
majors *arguments:
    ./tests/majors.sh "$@"

# PostgreSQL's own regression tests: every table that they leave behind, and each value changed
regress:
    ./tests/regress.sh

# form and lints
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# times against the floor that the servers set: `just bench --only W2 --scale 0.1`
bench *arguments:
    cargo bench --bench workloads -- "$@"

# the documentation of the code
doc:
    cargo doc --no-deps --open

# what a change must pass
ci:
    .ci/run
