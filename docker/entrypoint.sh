#!/bin/sh
# Airflow's one login comes from the environment and is kept in a file that only its user can read.
set -eu
passwords=${AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE:-}
if [ -n "$passwords" ] && [ -n "${AIRFLOW_ADMIN_PASSWORD:-}" ]; then
  mkdir -p "$(dirname "$passwords")"
  # Several containers write it, and one of them may be reading it: whole or not at all.
  new=$(mktemp "$passwords.XXXXXX")
  python -c 'import json, os; print(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))' >"$new"
  mv -f "$new" "$passwords"
fi
exec "$@"
