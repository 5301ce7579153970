# Sourced: run a command that may be silent for long, and say every 10 s that it is at work.
#
# The command runs beside the shell, so that a signal ends both at once: the shell's trap calls end_work.
readonly BEAT_S=10
work=
said=$SECONDS  # several short commands in a row are as silent as a long one

# with_beat NAME COMMAND...: FACTS, where it is set, is a function whose words are added to each line.
with_beat() {
  local script=${0##*/} what=$1 began=$SECONDS code=0
  shift
  "$@" &
  work=$!
  while kill -0 "$work" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS >= said + BEAT_S)); then
      echo "${script%.sh}: $what: $((SECONDS - began)) s so far${FACTS:+, $($FACTS)}" >&2
      said=$SECONDS
    fi
  done
  wait "$work" || code=$?
  work=
  return "$code"
}

end_work() {
  local running  # asked of the shell: a signal may come before `work` is set
  running=$(jobs -p)
  # shellcheck disable=SC2086  # several process ids
  if [[ -n $running ]]; then kill $running 2>/dev/null || true; wait $running 2>/dev/null || true; fi
}
