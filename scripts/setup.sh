#!/usr/bin/env bash
# Install everything that `make demo` and `make test` need in a fresh checkout. Safe to interrupt and to repeat.
#
# 1. Check the machine, and find Python 3.11 to 3.13; KOGPT2_PYTHON=/path/of/python3 selects one.
# 2. Create the environment in .venv from the hash-pinned lock files.
# 3. Compile the worker's native engine, if there is a C compiler.
# 4. Find or install a Java runtime for Spark and the servers.
# 5. Fetch and verify the servers' jars, in a cache that checkouts share.
# 6. Build the world's client, if npm's registry can be reached.
# 7. With --browser: install Chromium and a Korean font for the browser test.
#
# Long steps report every 10 s that they are running, with or without a terminal.
source "$(dirname "${BASH_SOURCE[0]}")/begin.sh"

unset PYTHONPATH PIP_PREFIX PIP_TARGET PIP_USER PIP_REQUIRE_VIRTUALENV UV_PYTHON UV_SYSTEM_PYTHON UV_TARGET UV_PREFIX
source scripts/beat.sh
source scripts/client.sh
source scripts/native.sh
readonly DISK_COLD_MB=9000
readonly FITS='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'
readonly WHICH='import os, sys; print(os.path.realpath(sys.base_prefix), *sys.version_info[:3])'
say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }
interrupted() {
  end_work
  say "interrupted; run the same command again to continue"
  exit 130
}
trap interrupted INT TERM

readonly FACTS=so_far
so_far() { echo "$(packages) packages in .venv, $(free_disk) MB of disk free"; }
# Read the column before the usage percentage, because names of disks and folders can contain spaces.
free_disk() { df -Pm . | awk 'NR == 2 {for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) {print $(i - 1); exit}}'; }
packages() { find .venv/lib -maxdepth 3 -name '*.dist-info' 2>/dev/null | wc -l; }

fits() { command -v "$1" >/dev/null && "$1" -c "$FITS" 2>/dev/null; }

# Print the Python to use: that of the setting, else one in PATH, else one of pyenv or asdf. Prefer 3.11: all tests run on it.
find_python() {
  local name folder
  if [[ -n ${KOGPT2_PYTHON:-} ]]; then
    fits "$KOGPT2_PYTHON" ||
      fail "KOGPT2_PYTHON=$KOGPT2_PYTHON is not Python 3.11, 3.12 or 3.13 with venv: $({ "$KOGPT2_PYTHON" --version || true; } 2>&1 | head -1)"
    command -v "$KOGPT2_PYTHON"
    return
  fi
  for name in python3.11 python3.12 python3.13 python3; do
    if fits "$name"; then command -v "$name"; return; fi
  done
  for folder in "${PYENV_ROOT:-$HOME/.pyenv}/versions" "${ASDF_DATA_DIR:-$HOME/.asdf}/installs/python"; do
    for name in "$folder"/3.11* "$folder"/3.12* "$folder"/3.13*; do
      if fits "$name/bin/python3"; then echo "$name/bin/python3"; return; fi
    done
  done
  fail "needs Python 3.11, 3.12 or 3.13 with venv, found $(python3 --version 2>&1 || echo none); on Debian or Ubuntu:
  apt-get install python3 python3-venv; to use another one: KOGPT2_PYTHON=/path/of/python3 make setup"
}

# Check whether the environment can be kept. It cannot if the setting names another Python, or if the checkout was moved
# or copied: the programs in .venv contain the old path, so they would fail or run another checkout's code.
keeps_python() {
  grep -qF "$PWD/.venv" .venv/bin/activate 2>/dev/null || return 1
  [[ -x .venv/bin/python ]] && .venv/bin/python -m pip --version >/dev/null 2>&1 && fits .venv/bin/python || return 1
  [[ -z ${KOGPT2_PYTHON:-} || $(.venv/bin/python -c "$WHICH") == $("$KOGPT2_PYTHON" -c "$WHICH" 2>/dev/null) ]]
}

make_environment() {
  local wanted stamp=.venv/.setup-stamp python free_mb
  if [[ -L .venv ]]; then fail ".venv is a link to $(readlink .venv): an environment belongs to one checkout; remove the link"; fi
  wanted=$(cat requirements.lock requirements-uv.lock pyproject.toml <(pwd) | sha256sum | cut -d' ' -f1)
  if [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && { [[ -z ${KOGPT2_PYTHON:-} ]] || keeps_python; }; then return; fi
  if [[ -z ${KOGPT2_PYTHON:-} ]] && keeps_python; then python=.venv/bin/python; else python=$(find_python); fi
  "$python" scripts/platform_check.py || exit 1
  free_mb=$(free_disk)
  if [[ ! -d .venv/lib && $free_mb -lt $DISK_COLD_MB ]]; then
    fail "needs about $DISK_COLD_MB MB of free disk space here for the environment, found $free_mb MB: free some, or move the checkout"
  fi
  say "environment with $("$python" --version) ($python), $(grep -c "==" requirements.lock) packages (takes minutes with an empty package cache)"
  keeps_python || with_beat "empty environment" "$python" -m venv --clear .venv
  rm -f "$stamp"
  with_beat "installer" .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
  cp .venv/bin/uv .venv/uv-for-setup  # the sync removes every package that is not in the lock, including uv
  with_beat "packages" .venv/uv-for-setup pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
  with_beat "this project" .venv/uv-for-setup pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
  echo "$wanted" >"$stamp"
}

install_browser() {
  if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then
    if fc-list :lang=ko 2>/dev/null | grep -q .; then return; fi
  fi
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    say "Chromium and a Korean font for the browser test"
    with_beat "the distribution's package lists" apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive with_beat "Chromium" apt-get install -y -qq --no-install-recommends chromium fontconfig fonts-nanum >/dev/null ||
      fail "apt-get could not install chromium and fonts-nanum: install a Chromium and a Korean font by hand"
  else
    fail "the browser test needs Chromium and a Korean font: sudo apt-get install chromium fonts-nanum"
  fi
}

if [[ $(uname -s) != Linux ]]; then python3 scripts/platform_check.py || exit 1; fi  # before the commands that exist only on Linux
exec 9>.setup.lock
until flock -w "$BEAT_S" 9; do  # `make demo` and `make test` can be started at the same time
  say "another set-up is running in this checkout: waiting for it, $SECONDS s so far"
done
make_environment
build_native
with_beat "Java and jars" .venv/bin/python -m kogpt2_chat.stack.fetch
build_client
if [[ ${1:-} == --browser ]]; then install_browser; fi
