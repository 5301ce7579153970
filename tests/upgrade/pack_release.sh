#!/usr/bin/env bash
# Pack the code of a release's worker and commands for `tests/upgrade`: tests/upgrade/pack_release.sh COMMIT
#
# Writes tests/upgrade/release-COMMIT.tar.xz with that commit's src/ and serving/, exactly as committed. The same commit
# always makes the same archive.
set -euo pipefail
cd "$(dirname "$0")/../.."
[[ $# == 1 ]] || { echo "usage: $0 COMMIT" >&2; exit 2; }
readonly packed=tests/upgrade/release-$(git rev-parse --short=7 "$1").tar.xz
git archive --format=tar "$1" src serving | xz -9e >"$packed"
ls -l "$packed" >&2
