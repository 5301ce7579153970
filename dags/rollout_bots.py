"""Let the workers speak with a new version.

Started by the asset of any bot when one of its versions has passed the gate, or by hand. For each such bot, one
after the other: the candidate is published to the workers with a rising epoch; when every live worker has it ready, it
becomes champion and the old champion becomes previous. If a worker cannot load it, or not in time, the old champion
is published again and the task fails; no player notices.

**Inputs** alias `candidate` in MLflow; topic `worker_state`. **Outputs** topic `rollout_state`; aliases `champion` and
`previous`.

Each run also takes every bot whose candidate is not champion yet: one that was announced while this DAG was paused, or
whose event was lost.

**Params** `bots`: used only in a run started by hand.

**Re-run** at any time: a run that stopped half-way is finished, a candidate that is champion already is a success with
nothing to do. Back to the previous version: `kogpt2-chat rollback BOT`.
"""

from datetime import timedelta

from airflow.sdk import DAG, AssetAny

from kogpt2_airflow.alerts import run_failed
from kogpt2_airflow.operators import JobOperator
from kogpt2_airflow.parts import CANDIDATE_BY_BOT, DEFAULT_ARGS, bots_param, deadline, rollout_commands

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
