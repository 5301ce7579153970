#!/usr/bin/env bash
# Everything that CI runs: the static checks, then all tests on separate servers. With arguments: the checks, then pytest with them.
#
# The tests that need no server run first, in one process per core. The others share servers, so they run in one process.
source "$(dirname "${BASH_SOURCE[0]}")/begin.sh"
for name in $(compgen -e | grep '^KOGPT2_' | grep -v '^KOGPT2_TEST_' || true); do unset "$name"; done
export KOGPT2_ENV_FILE=  # also ignore any .env file
scripts/check.sh
if (($#)); then exec .venv/bin/python -m pytest "$@"; fi
readonly INTERRUPTED=2
code=0
.venv/bin/python -m pytest -m parallel -n auto tests/{unit,model,dags,spark} || code=$?
if ((code == INTERRUPTED)); then exit "$code"; fi
.venv/bin/python -m pytest -m "not parallel and not faults" --ignore=tests/{unit,model,dags} || code=$?
exit "$code"
