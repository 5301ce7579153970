#!/usr/bin/env bash
# Everything that CI runs: the static checks, then all tests, on the project's own servers. With arguments, one pytest with them.
#
# The tests that share servers run in one process, which is often idle. The tests that need no server run at the same time, in one
# process per core and at low priority; their output is printed when they end.
source "$(dirname "${BASH_SOURCE[0]}")/begin.sh"
for name in $(compgen -e | grep '^KOGPT2_' | grep -v '^KOGPT2_TEST_' || true); do unset "$name"; done
export KOGPT2_ENV_FILE=  # also ignore any .env file
scripts/check.sh
if (($#)); then exec .venv/bin/python -m pytest "$@"; fi
readonly INTERRUPTED=2
log=$(mktemp)

without_servers() {
  local code=0
  nice -n 10 .venv/bin/python -m pytest -m parallel -n auto tests/{unit,world,model,dags,spark} >"$log" 2>&1 || code=$?
  cat "$log"
  return "$code"
}

end_without_servers() {
  kill -TERM -- "-$others" 2>/dev/null || true
  rm -f "$log"
}

set -m  # the background job gets a process group, so that all of its processes can be ended
without_servers &
readonly others=$!
set +m
trap end_without_servers EXIT

code=0
.venv/bin/python -m pytest -m "not parallel and not faults" --ignore=tests/{unit,world,model,dags} || code=$?
if ((code == INTERRUPTED)); then exit "$code"; fi
for ((polls = 1; ; polls++)); do
  if [[ -z $(jobs -pr) ]]; then break; fi
  if ((polls % 40 == 0)); then echo "test: the tests that need no server are still running"; fi
  sleep 0.2
done
wait "$others" || code=$?
exit "$code"
