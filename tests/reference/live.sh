#!/bin/sh
# Runs the real tensorflow-gan and tensorflow-addons and compares with the committed numbers.
# Their environment is made on the first run. Where it cannot be made, one line says why.
# Usage: tests/reference/live.sh [ENVIRONMENT]
set -e
cd "$(dirname "$0")/../.."
environment=${1:-.venv-reference}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

if ! [ "$environment/installed" -nt tests/reference/requirements.txt ]; then
    for python in python3.11 python3.10 python3.9 none; do
        if "$python" -c "" 2>/dev/null; then break; fi
    done
    if [ "$python" = none ]; then
        echo "reference: not run, there is no Python 3.9, 3.10 or 3.11 on this machine"
        exit 0
    fi
    if ! { "$python" -m venv "$environment" && "$environment/bin/python" -m pip install --quiet \
        --retries 1 --timeout 20 --requirement tests/reference/requirements.txt; } >"$log" 2>&1; then
        echo "reference: not run, its environment cannot be made: $(tail -n 1 "$log")"
        exit 0
    fi
    touch "$environment/installed"
fi

export TF_CPP_MIN_LOG_LEVEL=3
"$environment/bin/python" -W ignore tests/reference/make.py "$environment/live.npz"
"$environment/bin/python" tests/reference/compare.py tests/reference/tfgan_tfa.npz \
    "$environment/live.npz"
