#!/usr/bin/env bash
# Everything that can be known without running the code, in under a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
code="src serving spark_jobs plugins dags tests"
step() { echo "check: $*"; "$@"; }
step $bin/ruff format --check $code
step $bin/ruff check $code
step $bin/lint-imports
step $bin/pydoclint --quiet src serving spark_jobs plugins dags
step $bin/mypy
if git rev-parse --git-dir >/dev/null 2>&1; then
  echo "check: no module over 300 lines"
  git ls-files '*.py' | grep -v '^tests/' | xargs wc -l | awk '$2 != "total" && $1 > 300 {print "too long: " $2 " (" $1 " lines)"; bad=1} END {exit bad}'
fi
