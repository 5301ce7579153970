#!/bin/sh
# Write the password of Airflow's only user from the environment to a file that only this container's user can read.
set -eu
passwords=${AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE:-}
if [ -n "$passwords" ] && [ -n "${AIRFLOW_ADMIN_PASSWORD:-}" ]; then
  mkdir -p "$(dirname "$passwords")"
  # Write atomically: several containers write the file, and one of them may be reading it.
  new=$(mktemp "$passwords.XXXXXX")
  python -c 'import json, os; print(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))' >"$new"
  mv -f "$new" "$passwords"
fi
exec "$@"
