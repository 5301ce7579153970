#!/usr/bin/env bash
# A small home as a release leaves it behind, packed for `tests/upgrade`: tests/upgrade/make_home.sh COMMIT OUT
#
# OUT becomes a folder with home.tar.xz and expected.json, what the packed home holds. All is made below one fixed path,
# for a home's servers remember absolute paths; the same path is where the test unpacks it. Takes some ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
[[ $# == 2 ]] || { echo "usage: $0 COMMIT OUT" >&2; exit 2; }
readonly commit=$1 out=$(realpath -m "$2") place=/tmp/kogpt2-upgrade
readonly here=$PWD checkout=$place/checkout home=$place/home

for name in $(compgen -e | grep '^KOGPT2_' || true); do unset "$name"; done
mkdir -p "$place" "$out"
exec 9>"$place/lock"
flock -n 9 || { echo "make_home: $place is in use: a test opens a home there, or another one is made" >&2; exit 1; }
[[ ! -e $home ]] || { echo "make_home: $home is there already: stop what runs in it and remove it" >&2; exit 1; }

[[ -d $checkout ]] || git worktree add --quiet --detach "$checkout" "$commit"
git -C "$checkout" switch --quiet --detach "$commit"
"$checkout/scripts/setup.sh"
cd "$checkout"
.venv/bin/python "$here/tests/upgrade/make_home.py" "$home" "$out/expected.json" "$(git rev-parse HEAD)"

# Left out: what is made anew at the next start (logs, sockets, configuration, Elasticsearch's index, Kafka's own indexes).
cd "$place"
tar --create --sparse --sort=name --owner=0 --group=0 --numeric-owner \
  --exclude='home/logs' --exclude='home/run' --exclude='home/conf' --exclude='home/airflow' --exclude='home/data/elasticsearch' \
  --exclude='home/training' --exclude='home/datasets' --exclude='home/data/kafka/*/*.index' --exclude='home/data/kafka/*/*.timeindex' \
  --exclude='in_use.lock' --exclude='home/data/kafka/.lock' home | xz -6e >"$out/home.tar.xz"
ls -l "$out" >&2
