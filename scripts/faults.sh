#!/usr/bin/env bash
# Run the long fault scenarios on a separate broker in var/faults. To run one: `scripts/faults.sh -k zombie`.
source "$(dirname "${BASH_SOURCE[0]}")/begin.sh"
for name in $(compgen -e | grep '^KOGPT2_' | grep -v '^KOGPT2_TEST_' || true); do unset "$name"; done
export KOGPT2_ENV_FILE=  # also ignore any .env file
exec .venv/bin/python -m pytest tests/faults -m faults -s "$@"
