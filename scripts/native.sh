# The native engine of the worker, compiled once for each instruction set. Sourced by setup.sh, in the checkout's root.
#
# The compiler is a pinned package that is removed afterwards. Without it the C compiler of the system is used, and without
# that the worker decodes with OpenVINO alone.
readonly COMPILER_LOCK=requirements-compiler.lock
readonly BUILD=kogpt2_chat.inference.native.build

build_native() {
  local python=.venv/bin/python folder
  if "$python" -m "$BUILD" --check; then return; fi
  folder=$(mktemp -d)
  if with_beat "C compiler" .venv/uv-for-setup pip install --quiet --python "$python" --target "$folder" --no-deps \
      --require-hashes -r "$COMPILER_LOCK" && compile_native "$folder"; then
    rm -rf "$folder"
    return
  fi
  rm -rf "$folder"
  say "the compiler of $COMPILER_LOCK cannot be used here (see above): trying \`cc\`"
  if ! with_beat "native engine" "$python" -m "$BUILD" cc; then
    say "no C compiler: the worker decodes with OpenVINO, up to twice as slowly; all else works"
    say "for the native engine, install a C compiler (\`apt-get install gcc\`) and run \`make setup\` again"
  fi
}

# Zig's compiler links against the named version of glibc, so that the libraries run on older systems than this one.
compile_native() {
  PYTHONPATH=$1 ZIG_GLOBAL_CACHE_DIR=$1/cache ZIG_LOCAL_CACHE_DIR=$1/cache with_beat "native engine" .venv/bin/python -m "$BUILD" \
    .venv/bin/python -m ziglang cc -target "$(uname -m)-linux-gnu.2.28"
}
