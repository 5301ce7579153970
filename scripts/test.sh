#!/usr/bin/env bash
# Everything that CI runs: the static checks, then all tests, on the project's own servers.
source "$(dirname "${BASH_SOURCE[0]}")/begin.sh"
for name in $(compgen -e | grep '^KOGPT2_' | grep -v '^KOGPT2_TEST_' || true); do unset "$name"; done
export KOGPT2_ENV_FILE=  # also ignore any .env file
scripts/check.sh
exec .venv/bin/python -m pytest "$@"
