"""Retrain the bots on what their players taught them.

For each bot: build a dataset (Spark), fine-tune a model, register it as a version in MLflow, and evaluate it with the
gate. A version that passes becomes the bot's candidate; this updates the bot's asset, which starts `rollout_bots`. A
version that is refused stays in MLflow with the reasons, its later tasks are skipped, and the champion keeps serving.

**Inputs** tables `turns` and `feedback`, the seed corpora, the base model. **Outputs** datasets under
`/Chatbot/datasets/BOT`; MLflow runs and versions; alias `candidate`.

**Params** `bots`: bots to train. `mode`: start from the base model or from the champion. `epochs`: number of epochs;
empty: `KOGPT2_TRAINING__EPOCHS` from the base, 6 for new pairs on top of the champion. `force`: train even if there are
few new pairs. No parameter skips the gate.

**Starts** once a day (`KOGPT2_LEARNING__RETRAIN_CRON`), when `ingest_conversations` stores new feedback
(`KOGPT2_LEARNING__RETRAIN_ON_TEACHINGS`), or by hand. A run that fails, or that does not finish within
`KOGPT2_AIRFLOW__RETRAIN_DEADLINE_HOURS`, raises an alert (`KOGPT2_AIRFLOW__ALERT_WEBHOOK`).

With `KOGPT2_TRAINING__RANKS` above 1, the task `finetune` trains on that many of Spark's executors together.

A bot is skipped if the run does not name it, or if it has fewer new pairs since its last training than
`KOGPT2_LEARNING__MIN_NEW_EXAMPLES`; the log of its task `chosen` shows the reason. A single withdrawn pair is enough
to retrain a bot, and then training starts from the base, because the champion has learned the pair. The failure of one
bot does not stop the others.

**Re-run** a failed run as a whole, or clear a task: the same rows give the same dataset id, the same MLflow run gives
the same version, and a version that is already the champion is not nominated again.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param, TaskGroup

from kogpt2_airflow.alerts import run_failed
from kogpt2_airflow.assets import CANDIDATE_BY_BOT
from kogpt2_airflow.operators import JobOperator
from kogpt2_airflow.params import (
    DEFAULT_ARGS,
    SPARK_POOL,
    TRAINING_POOL,
    argument_if_selected,
    bots_param,
    dataset_if_built,
    deadline,
    read_estimate,
    retrain_schedule,
)
from kogpt2_airflow.tasks import announce, chosen
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.learning.time_limits import LONGEST, time_limit
from kogpt2_chat.settings import load_settings

SETTINGS = load_settings()
ESTIMATE = read_estimate(SETTINGS.home)

with DAG(
    dag_id="retrain_bots",
    description="Spark dataset → fine-tune → MLflow version → gate → candidate, for each bot",
    doc_md=__doc__,
    schedule=retrain_schedule(SETTINGS.learning),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=LONGEST,
    deadline=deadline(SETTINGS.airflow.retrain_deadline_hours),
    on_failure_callback=run_failed,
    default_args=DEFAULT_ARGS,
    params={
        "bots": bots_param("Bots to retrain"),
        "mode": Param(
            "from_champion",
            title="Start from",
            description="Weights to start from; a bot without a champion starts from the base model",
            type="string",
            enum=["from_base", "from_champion"],
            values_display={"from_base": "base model", "from_champion": "champion"},
        ),
        "epochs": Param(
            None,
            title="Epochs",
            description="Number of epochs; empty: the default for the base or the champion",
            type=["null", "integer"],
            minimum=1,
            maximum=200,
        ),
        "force": Param(
            False,
            title="Force",
            description="Train even if there are few new pairs; the gate still applies",
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
        command=["build-dataset", *map(argument_if_selected, BOT_IDS)],
        pool=SPARK_POOL,
        execution_timeout=timedelta(hours=1),
    )
    base >> datasets  # datasets need the base's tokenizer, and must not train a missing base outside the pool
    choices = JobOperator(
        task_id="choose_bots",
        command=["choose", *map(dataset_if_built, BOT_IDS), "{{ '--force' if params.force else '' }}"],
    )
    datasets >> choices

    for bot in BOT_IDS:
        with TaskGroup(group_id=bot):
            dataset = chosen(bot, choices.output, datasets.output["datasets"])
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
                execution_timeout=time_limit(ESTIMATE, "finetune", timedelta(hours=6)),
            )
            register = JobOperator(task_id="register", command=["register", bot, finetune.output["run_id"]])
            version = register.output["version"]
            evaluate = JobOperator(
                task_id="evaluate",
                command=["evaluate", bot, version],
                pool=TRAINING_POOL,
                execution_timeout=time_limit(ESTIMATE, "evaluate", timedelta(hours=1)),
            )
            nominate = JobOperator(task_id="nominate", command=["nominate", bot, version])

            evaluate >> nominate >> announce.override(outlets=[CANDIDATE_BY_BOT[bot]])(bot, version)
