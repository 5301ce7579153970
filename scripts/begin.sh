# Sourced first by every script: change to the checkout, and reset options and variables of the caller's shell.
set -euo pipefail
set +o noclobber  # the scripts overwrite files
unset CDPATH GREP_OPTIONS PYTHONHOME PYTHONOPTIMIZE PYTHONWARNINGS
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
