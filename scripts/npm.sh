#!/usr/bin/env bash
# Run npm in the world's client, with the Node of the environment: `scripts/npm.sh run dev`. `make setup` installs it.
source "$(dirname "${BASH_SOURCE[0]}")/begin.sh"
source scripts/client.sh
home=$(node_home)
PATH="$home/bin:$PATH" exec "$home/bin/node" "$home/lib/node_modules/npm/bin/npm-cli.js" --prefix "$CLIENT" "$@"
