#!/usr/bin/env bash
# Everything that CI runs: what can be known without running, then every layer of tests on the project's own servers.
source "$(dirname "${BASH_SOURCE[0]}")/begin.sh"
for name in $(compgen -e | grep '^KOGPT2_' | grep -v '^KOGPT2_TEST_' || true); do unset "$name"; done
export KOGPT2_ENV_FILE=  # nor what a .env says
scripts/check.sh
exec .venv/bin/python -m pytest "$@"
