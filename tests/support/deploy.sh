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

python_judges() {
    has python3 || { package_manager && [ "$found" = apt-get ] && apt_install python3 python3-pip; } ||
        return 1
    private_folder deploy-pip || return 1
    local home=$found
    if ! usable "$home"; then
        find_pip || return 1
        say "getting judges of deployment files from PyPI: $JUDGES"
        # shellcheck disable=SC2086 # several words each
        quietly $found install --only-binary :all: --target "$home" $JUDGES || return 1
        usable "$home" || { note 'what PyPI gave does not run here' && return 1; }
    fi
    found=$home
}

systemd_analyze() {
    has systemd-analyze || { package_manager && [ "$found" = apt-get ] && apt_install systemd; }
    found=$(command -v systemd-analyze)
}

case ${1:-} in
    python)
        python_judges ||
            die 'manifests and crontab cannot be checked: their judges cannot be had' "$tried." \
                'Install python3 with pip, and let it reach PyPI.'
        ;;
    systemd)
        systemd_analyze ||
            die 'units cannot be checked: there is no systemd-analyze' "$tried." 'Install systemd.'
        ;;
    *) die 'name one of python and systemd' ;;
esac
printf '%s\n' "$found"
