# Sourced first by every script: in the checkout, and free of what a shell elsewhere was set to.
set -euo pipefail
set +o noclobber  # files are written again
unset CDPATH GREP_OPTIONS PYTHONHOME PYTHONOPTIMIZE PYTHONWARNINGS
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
