"""Roll out new versions to the workers.

A bot's asset starts this DAG when one of the bot's versions has passed the gate; it can also be started by hand. Bots
are rolled out one after the other. The candidate is published to the workers with the next rollout epoch. Once every
live worker has loaded it, it becomes champion and the old champion becomes previous. If a worker cannot load it in
time, the old champion is published again and the task fails, without an effect on players.

**Inputs** alias `candidate` in MLflow; topic `worker_state`. **Outputs** topic `rollout_state`; aliases `champion` and
`previous`.

Each run also includes every other bot whose candidate is not champion yet, because its event was lost or arrived
while this DAG was paused.

**Params** `bots`: used only in a run that is started by hand.

**Re-run** at any time: a new run finishes an interrupted one, and does nothing for a candidate that is already the
champion. To return to the previous version: `kogpt2-chat rollback BOT`.
"""

from datetime import timedelta

from airflow.sdk import DAG, AssetAny

from kogpt2_airflow.alerts import run_failed
from kogpt2_airflow.assets import CANDIDATE_BY_BOT
from kogpt2_airflow.operators import JobOperator
from kogpt2_airflow.params import DEFAULT_ARGS, bots_param, deadline
from kogpt2_airflow.tasks import rollout_commands

with DAG(
    dag_id="rollout_bots",
    description="candidate → all workers → champion, or back",
    doc_md=__doc__,
    schedule=AssetAny(*CANDIDATE_BY_BOT.values()),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    deadline=deadline(hours=0.75),
    on_failure_callback=run_failed,
    default_args=DEFAULT_ARGS,
    params={"bots": bots_param("Bots to roll out, in a run started by hand")},
    tags=["kogpt2", "serving"],
):
    JobOperator.partial(
        task_id="rollout",
        map_index_template="{{ task.command[1] }}",
        max_active_tis_per_dagrun=1,
    ).expand(command=rollout_commands())
