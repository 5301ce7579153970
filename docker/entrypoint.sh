#!/bin/sh
# Airflow's one login comes from the environment and is kept in a file that only its user can read.
set -eu
if [ -n "${AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE:-}" ] && [ -n "${AIRFLOW_ADMIN_PASSWORD:-}" ]; then
  umask 077
  mkdir -p "$(dirname "$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE")"
  python -c 'import json, os; print(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))' \
    >"$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
  umask 022
fi
exec "$@"
