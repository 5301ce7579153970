#!/usr/bin/env bash
# All static checks, in under a minute.
source "$(dirname "${BASH_SOURCE[0]}")/begin.sh"
bin=.venv/bin
code="src serving indexer spark_jobs plugins dags world tests benchmarks docker scripts"
source scripts/beat.sh
trap 'end_work; exit 130' INT TERM
step() { echo "check: $*"; with_beat "${1##*/}" "$@"; }
step $bin/ruff format --check $code
step $bin/ruff check $code
step $bin/lint-imports
echo "check: pydoclint"
# Docstrings may omit sections that would only repeat names (DOC101, 103, 201), but existing sections must be correct.
# pydoclint cannot ignore single codes, hence the filter.
found=$($bin/pydoclint --quiet src serving indexer spark_jobs plugins dags world 2>&1) || [[ $found == *DOC[0-9]* ]] || { echo "$found"; exit 1; }
found=$(grep -E 'DOC[0-9]+' <<<"$found" | grep -vE 'DOC(101|103|201)' || true)
if [[ -n $found ]]; then echo "$found"; exit 1; fi
step $bin/mypy
if git rev-parse --git-dir >/dev/null 2>&1; then step $bin/python scripts/check_lengths.py; fi
