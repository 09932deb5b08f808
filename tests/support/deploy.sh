#!/usr/bin/env bash
# The tools that judge examples/deploy, found or else got; prints where they are.
#
#   tests/support/deploy.sh python     a folder for PYTHONPATH: kubernetes_validate, yaml, crontab
#   tests/support/deploy.sh systemd    systemd-analyze
#
# What cannot be judged looks like what is right, so a tool that cannot be had is an error.
set -euo pipefail

# shellcheck source=tests/support/postgres.sh
. "$(dirname "${BASH_SOURCE[0]}")/postgres.sh"

# The first has the schemas that Kubernetes publishes, the other reads crontabs as cron does.
readonly JUDGES='kubernetes-validate==1.37.0 python-crontab==3.4.0'

usable() { PYTHONPATH=$1 python3 -c 'import kubernetes_validate, yaml, crontab' 2>/dev/null; }

find_python() { has python3 && find_pip; }

install_python() {
    package_manager || return 1
    say "installing Python and pip with $found"
    case $found in
        apt-get) apt_install python3 python3-pip ;;
        dnf) privileged dnf install -y python3 python3-pip ;;
        apk) privileged apk add --no-progress python3 py3-pip ;;
        brew) quietly brew install python3 ;;
    esac
}

python_judges() {
    private_folder deploy-pip || return 1
    local home=$found
    if ! usable "$home"; then
        find_python || { install_python && find_python; } || return 1
        say "getting judges of deployment files from PyPI: $JUDGES"
        # shellcheck disable=SC2086 # several words each
        quietly $found install --only-binary :all: --target "$home" $JUDGES || return 1
        usable "$home" || { note 'what PyPI gave does not run here' && return 1; }
    fi
    found=$home
}

search_systemd() {
    found=$(command -v systemd-analyze) || { note 'there is no systemd-analyze in PATH' && return 1; }
}

install_systemd() {
    package_manager || return 1
    say "installing systemd's tools with $found"
    case $found in
        apt-get) apt_install systemd ;;
        dnf) privileged dnf install -y systemd ;;
        *) note "$found has no systemd" && return 1 ;;
    esac
}

case ${1:-} in
    python)
        python_judges ||
            die 'manifests and crontab cannot be checked: their judges cannot be had' "$tried." \
                'Install python3 with pip, and let it reach PyPI.'
        ;;
    systemd)
        search_systemd || { install_systemd && search_systemd; } ||
            die 'units cannot be checked: there is no systemd-analyze' "$tried." 'Install systemd.'
        ;;
    *) die 'name one of python and systemd' ;;
esac
printf '%s\n' "$found"
