# Sourced by other scripts: run a command that may be silent for long, and report every 10 s that it is still running.
#
# The command runs in the background, so that the shell handles signals at once: its trap calls end_work.
readonly BEAT_S=10
work=
last_report=$SECONDS  # kept across calls, so that a series of short silent commands is reported too

# with_beat NAME COMMAND...: if FACTS is set, it names a function whose output is added to each line.
with_beat() {
  local script=${0##*/} what=$1 began=$SECONDS code=0
  shift
  "$@" &
  work=$!
  while kill -0 "$work" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS >= last_report + BEAT_S)); then
      echo "${script%.sh}: $what: $((SECONDS - began)) s so far${FACTS:+, $($FACTS)}" >&2
      last_report=$SECONDS
    fi
  done
  wait "$work" || code=$?
  work=
  return "$code"
}

end_work() {
  local running  # from `jobs`, because a signal can arrive before `work` is set
  running=$(jobs -p)
  # shellcheck disable=SC2086  # several process ids
  if [[ -n $running ]]; then kill $running 2>/dev/null || true; wait $running 2>/dev/null || true; fi
}
