"""Move conversations from Kafka into the lake.

Every ten minutes, new turns (`conversation_log`) and feedback (`feedback`) become rows of the Delta tables `turns` and
`feedback` on HDFS, each exactly once. Then the daily `Q,A` files of the days with new turns are rewritten, under
`/Chatbot/dailydata`. New feedback updates the asset `teachings`, which starts `retrain_bots`. The search index does not
wait for this DAG: the indexer fills it from Kafka.

**Inputs** Kafka topics `conversation_log`, `feedback`. **Outputs** tables `turns`, `feedback`;
`/Chatbot/dailydata/MMDD/BOT.csv`.

**Re-run** any task at any time: the tables store the Kafka positions, so a second run finds nothing to do. A missed run
needs no backfill, because the next run reads everything that is new.
By hand: `kogpt2-chat ingest`, `kogpt2-chat export-daily-csv`.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from kogpt2_airflow.alerts import run_failed
from kogpt2_airflow.operators import JobOperator
from kogpt2_airflow.params import DEFAULT_ARGS, deadline
from kogpt2_airflow.tasks import announce_teachings

with DAG(
    dag_id="ingest_conversations",
    description="Kafka → Delta tables on HDFS → daily CSV",
    doc_md=__doc__,
    schedule="*/10 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Seoul"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    deadline=deadline(hours=0.75),
    on_failure_callback=run_failed,
    default_args=DEFAULT_ARGS,
    tags=["kogpt2", "lake"],
):
    ingest = JobOperator(task_id="ingest", command=["ingest"])
    export = JobOperator(task_id="export_daily_csv", command=["export-daily-csv"])

    ingest >> export
    announce_teachings(ingest.output["feedback"])
