"""Teach the bots what their players taught.

One dataset a bot (Spark), a fine-tuned model, a version in MLflow, and the gate's decision on it. A version that
passes becomes the bot's candidate and is announced by the bot's asset, which starts `rollout_bots`. A version that
is refused stays in MLflow with its reasons, its later tasks are skipped, and the champion speaks on.

**Inputs** tables `turns` and `feedback`, the seed corpora, the base model. **Outputs** datasets under
`/Chatbot/datasets/BOT`; MLflow runs and versions; alias `candidate`.

**Params** `bots`: which to train. `mode`: start from the base model or from the champion. `epochs`: passes over the
dataset, empty takes the setting. `force`: train although there is little that is new. Nothing skips the gate.

**Starts** by itself once a day (`KOGPT2_LEARNING__RETRAIN_CRON`) and when `ingest_conversations` brings new teachings
(`KOGPT2_LEARNING__RETRAIN_ON_TEACHINGS`), or by hand. A run that fails, or is not finished in
`KOGPT2_AIRFLOW__RETRAIN_DEADLINE_HOURS`, is told to the operator (`KOGPT2_AIRFLOW__ALERT_WEBHOOK`).

A bot is skipped, with the reason in the log of its task `chosen`, when the run does not name it or when fewer new
pairs came since its last training than `KOGPT2_LEARNING__MIN_NEW_EXAMPLES`. One pair that was withdrawn is enough, and
then the bot starts from the base: its champion has learned it. One bot's failure does not stop the others.

**Re-run** a failed run as a whole, or clear a task: the same dataset keeps its version, the same MLflow run is the
same version, and a version that is champion already is not nominated again.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param, TaskGroup

from kogpt2_airflow.alerts import run_failed
from kogpt2_airflow.operators import JobOperator
from kogpt2_airflow.parts import (
    CANDIDATE_BY_BOT,
    DEFAULT_ARGS,
    SPARK_POOL,
    TRAINING_POOL,
    announce,
    bots_param,
    choose_bots,
    chosen,
    deadline,
    retrain_schedule,
    word_if_chosen,
)
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import load_settings

SETTINGS = load_settings()

with DAG(
    dag_id="retrain_bots",
    description="Spark dataset → fine-tune → MLflow version → gate → candidate, for each bot",
    doc_md=__doc__,
    schedule=retrain_schedule(SETTINGS.learning),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=24),
    deadline=deadline(SETTINGS.airflow.retrain_deadline_hours),
    on_failure_callback=run_failed,
    default_args=DEFAULT_ARGS,
    params={
        "bots": bots_param("Bots to retrain"),
        "mode": Param(
            "from_champion",
            title="Start from",
            description="Weights that the training starts from; a bot without a champion starts from the base",
            type="string",
            enum=["from_base", "from_champion"],
            values_display={"from_base": "base model", "from_champion": "champion"},
        ),
        "epochs": Param(
            None,
            title="Epochs",
            description="Passes over the dataset; empty takes the setting",
            type=["null", "integer"],
            minimum=1,
            maximum=200,
        ),
        "force": Param(
            False,
            title="Force",
            description="Train although there is little that is new; the gate decides all the same",
            type="boolean",
        ),
    },
    tags=["kogpt2", "learning"],
):
    base = JobOperator(
        task_id="prepare_base",
        command=["prepare-base"],
        pool=TRAINING_POOL,
        execution_timeout=timedelta(hours=2),
    )
    datasets = JobOperator(
        task_id="build_datasets",
        command=["build-dataset", *map(word_if_chosen, BOT_IDS)],
        pool=SPARK_POOL,
        execution_timeout=timedelta(hours=1),
    )
    base >> datasets  # which measures answers with its tokenizer, and would make a missing base outside the pool
    choices = choose_bots(datasets.output["datasets"], force="{{ params.force }}")

    for bot in BOT_IDS:
        with TaskGroup(group_id=bot):
            dataset = chosen(bot, choices)
            finetune = JobOperator(
                task_id="finetune",
                command=[
                    "finetune",
                    bot,
                    dataset,
                    "--mode={{ params.mode }}",
                    "{{ '--epochs=%d' % params.epochs if params.epochs else '' }}",
                ],
                pool=TRAINING_POOL,
                execution_timeout=timedelta(hours=6),
            )
            register = JobOperator(task_id="register", command=["register", bot, finetune.output["run_id"]])
            version = register.output["version"]
            evaluate = JobOperator(
                task_id="evaluate",
                command=["evaluate", bot, version],
                pool=TRAINING_POOL,
                execution_timeout=timedelta(hours=1),
            )
            nominate = JobOperator(task_id="nominate", command=["nominate", bot, version])

            evaluate >> nominate >> announce.override(outlets=[CANDIDATE_BY_BOT[bot]])(bot, version)
