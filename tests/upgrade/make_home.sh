#!/usr/bin/env bash
# Make and pack a small home of a release for `tests/upgrade`: tests/upgrade/make_home.sh COMMIT OUT
#
# Writes home.tar.xz and expected.json (the contents of the home) into the folder OUT. The home is made at a fixed path,
# because its servers store absolute paths; the tests unpack it at the same path. Takes about ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
[[ $# == 2 ]] || { echo "usage: $0 COMMIT OUT" >&2; exit 2; }
readonly commit=$1 out=$(realpath -m "$2") place=/tmp/kogpt2-upgrade
readonly here=$PWD checkout=$place/checkout home=$place/home

for name in $(compgen -e | grep '^KOGPT2_' || true); do unset "$name"; done
mkdir -p "$place" "$out"
exec 9>"$place/lock"
flock -n 9 || { echo "make_home: $place is in use by a test or by another make_home.sh" >&2; exit 1; }
[[ ! -e $home ]] || { echo "make_home: $home already exists: stop its servers and remove it" >&2; exit 1; }

[[ -d $checkout ]] || git worktree add --quiet --detach "$checkout" "$commit"
git -C "$checkout" switch --quiet --detach "$commit"
"$checkout/scripts/setup.sh"
cd "$checkout"
.venv/bin/python "$here/tests/upgrade/make_home.py" "$home" "$out/expected.json" "$(git rev-parse HEAD)"

# Left out: what the next start creates again (logs, sockets, configuration, the indexes of Elasticsearch and Kafka).
cd "$place"
tar --create --sparse --sort=name --owner=0 --group=0 --numeric-owner \
  --exclude='home/logs' --exclude='home/run' --exclude='home/conf' --exclude='home/airflow' --exclude='home/data/elasticsearch' \
  --exclude='home/training' --exclude='home/datasets' --exclude='home/data/kafka/*/*.index' --exclude='home/data/kafka/*/*.timeindex' \
  --exclude='in_use.lock' --exclude='home/data/kafka/.lock' home | xz -6e >"$out/home.tar.xz"
ls -l "$out" >&2
