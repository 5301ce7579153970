#!/usr/bin/env bash
# The long fault scenarios, on a broker of their own in var/faults; one of them with e.g. `scripts/faults.sh -k zombie`.
source "$(dirname "${BASH_SOURCE[0]}")/begin.sh"
for name in $(compgen -e | grep '^KOGPT2_' | grep -v '^KOGPT2_TEST_' || true); do unset "$name"; done
export KOGPT2_ENV_FILE=  # nor what a .env says
exec .venv/bin/python -m pytest tests/faults -m faults -s "$@"
