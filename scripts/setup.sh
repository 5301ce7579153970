#!/usr/bin/env bash
# From a bare checkout to all that `make demo` and `make test` need. Safe to interrupt and to repeat.
#
# 1. Python 3.11 or 3.12 and the environment in .venv, from the hash-pinned locks.
# 2. A Java runtime that Spark and the servers run on.
# 3. The servers' jars, verified, in a cache that checkouts share.
# 4. With --browser: Chromium and a Korean font for the browser test.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly DISK_COLD_MB=9000
say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }
trap 'say "interrupted; run the same command again to go on"; exit 130' INT TERM

find_python() {
  local name
  for name in python3.12 python3.11 python3; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  fail "needs Python 3.11 or 3.12 with venv, found $(python3 --version 2>&1 || echo none); on Debian or Ubuntu: apt-get install python3 python3-venv"
}

make_environment() {
  local wanted stamp=.venv/.setup-stamp python free_mb
  wanted=$(cat requirements.lock requirements-uv.lock pyproject.toml <(pwd) | sha256sum | cut -d' ' -f1)
  if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then return; fi
  python=$(find_python)
  free_mb=$(df -Pm . | awk 'NR == 2 {print $4}')
  if [[ ! -d .venv/lib && $free_mb -lt $DISK_COLD_MB ]]; then
    fail "needs about $DISK_COLD_MB MB of free disk here for the environment, found $free_mb MB: free some, or move the checkout"
  fi
  rm -f "$stamp"
  say "environment with $("$python" --version), about 250 packages (some minutes with an empty package cache)"
  [[ -x .venv/bin/python ]] && .venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
  cp .venv/bin/uv .venv/uv-for-setup  # the sync removes what the lock does not hold, uv as well
  .venv/uv-for-setup pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
  .venv/uv-for-setup pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
  echo "$wanted" >"$stamp"
}

install_browser() {
  if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then
    if fc-list :lang=ko 2>/dev/null | grep -q .; then return; fi
  fi
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    say "Chromium and a Korean font for the browser test"
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fontconfig fonts-nanum >/dev/null ||
      fail "the distribution did not give chromium and fonts-nanum: install a Chromium and a Korean font by hand"
  else
    fail "the browser test needs Chromium and a Korean font: sudo apt-get install chromium fonts-nanum"
  fi
}

exec 9>.setup.lock
flock 9  # `make demo` and `make test` may be started together
make_environment
.venv/bin/python -m kogpt2_chat.stack.fetch
if [[ ${1:-} == --browser ]]; then install_browser; fi
