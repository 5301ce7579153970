"""Sections of the settings tree. Each field's description says what it means."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr

from kogpt2_chat.domain import safety
from kogpt2_chat.domain.chat.prompt import MAX_SERVED_ANSWER_CHARS
from kogpt2_chat.domain.servers.addresses import HIGHEST_PORT
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.section_types import (
    NEVER,
    BotId,
    Cron,
    FolderOrName,
    LocalPath,
    Memory,
    Port,
    Positive,
    Seconds,
    Section,
    SparkMaster,
)

CHECKOUT: Final = Path(__file__).resolve().parents[2]
LOOPBACK: Final = "127.0.0.1"
EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - compared with, never a default


class Ports(Section):
    """Port of each server. ``offset`` is added to all of them, so that several stacks can run on one machine."""

    offset: Annotated[int, Field(ge=0, le=50000)] = 0
    kafka: Port = 9092
    kafka_controller: Port = 9093
    namenode: Port = 9000
    namenode_http: Port = 9870
    datanode: tuple[Port, Port] = (9866, 9876)
    datanode_http: tuple[Port, Port] = (9864, 9874)
    datanode_ipc: tuple[Port, Port] = (9867, 9877)
    elasticsearch: Port = 9200
    elasticsearch_transport: Port = 9300
    mlflow: Port = 5000
    airflow: Port = 8080
    airflow_log: tuple[Port, Port] = (8793, 8794)
    spark_master: Port = 7077
    spark_master_http: Port = 8081
    spark_worker_http: Port = 8082
    worker_metrics: Port = 9101
    indexer: Port = 9120
    gateway: Port = 8000

    def at(self, port: int) -> int:
        """Return the port with the offset added.

        Raises:
            InvalidInput: the sum is above 65535.
        """
        if port + self.offset > HIGHEST_PORT:
            raise InvalidInput(f"port {port} + offset {self.offset} is above 65535: lower KOGPT2_PORTS__OFFSET")
        return port + self.offset


class Stack(Section):
    """How the servers run on this machine."""

    host: str = Field(LOOPBACK, description="IPv4 address that all servers bind to; 0.0.0.0: all interfaces")
    advertised_host: str = Field(
        "",
        description="host at which other machines reach the stack, advertised to Kafka clients; empty: the bind "
        "address",
    )
    workers: Annotated[int, Field(ge=0, le=12)] = Field(1, description="number of serving workers")
    gateways: int = Field(1, ge=0, le=16, description="number of the world's gateways")
    spark: Literal["local", "standalone"] = "local"
    spark_workers: Annotated[int, Field(ge=1, le=8)] = Field(1, description="number of Spark's standalone workers")
    spark_user: str = Field(
        "",
        description="user that runs Spark's workers and the jobs' executors, if root starts the stack; empty: root; "
        "KOGPT2_SPARK__PYTHON must be a Python that this user can run",
    )
    airflow_database: SecretStr = Field(
        SecretStr(""), description="SQLAlchemy URL of a PostgreSQL database; empty: SQLite in the home folder"
    )
    airflow_parallelism: Positive = 4
    trainings_at_once: int = Field(
        0,
        ge=0,
        le=4,
        description="maximum number of concurrent trainings and evaluations; 0: two with at least 20 GiB of memory, "
        "else one",
    )
    airflow_password: SecretStr | None = Field(None, description="for tests; unset: generated at the first start")
    unprivileged_user: str = Field(
        "nobody", description="user that runs servers which refuse to run as root, if root starts the stack"
    )
    kafka_heap_mb: Positive = 384
    hdfs_heap_mb: Positive = 192
    elasticsearch_heap_mb: Positive = 384
    stall_s: Seconds = Field(30.0, description="`up` fails if a server's log and CPU time do not change for this long")
    start_hard_end_s: Seconds = Field(900.0, description="maximum time that `up` waits for each server")
    stop_timeout_s: Seconds = 30.0
    min_memory_mb: int = Field(6000, ge=0, description="free memory that `up` requires")
    min_disk_mb: int = Field(3000, ge=0, description="free disk space that `up` requires")
    keep_free_mb: int = Field(
        256,
        ge=1,
        description="disk space that the lake and the index leave free for Kafka; a server that fills a disk starts "
        "only once this much is free",
    )


class Model(Section):
    """The base model, and the limits of a prompt and an answer."""

    base: FolderOrName = Field(
        "auto",
        description="`small`, a hub id or a folder; `auto`: KoGPT2 if available, else `small`, decided once per "
        "home folder",
    )
    revision: str = Field("main", description="hub revision of the base model")
    base_sha256: str = Field("", description="expected SHA-256 of the base model's weights file; empty: not checked")
    small_layers: Positive = 4
    small_width: Positive = 320
    small_heads: Positive = 4
    small_vocabulary: Positive = 4000
    small_epochs: Positive = 60
    small_batch_size: Positive = 64
    small_learning_rate: float = Field(5e-4, gt=0)
    small_dropout: float = Field(0.3, ge=0, lt=1)
    small_label_smoothing: float = Field(0.1, ge=0, lt=1)
    small_weight_decay: float = Field(0.1, ge=0)
    small_learn_questions: bool = Field(True, description="whether the loss covers questions as well as answers")
    small_patience: Positive = Field(3, description="early stopping: epochs without a lower NLL on held-out seed pairs")
    small_answer_tokens: Positive = Field(
        6_000_000, description="maximum number of answer tokens to train on; limits training on large corpora"
    )
    max_prompt_tokens: Positive = 128
    max_new_tokens: Positive = 48
    threads: int = Field(0, ge=0, description="torch threads; 0: torch's default, or the CPU quota if there is one")


class Training(Section):
    """Fine-tuning of one bot."""

    epochs: int = Field(
        0, ge=0, description="passes over the dataset from a base model; 0: 1 from the small base, else 3"
    )
    batch_size: int = Field(
        0, ge=0, description="examples per optimizer step; 0: 32 from the small base, else 64; on a champion at most 8"
    )
    learning_rate: float = Field(
        0.0, ge=0, description="peak of the cosine schedule; 0: 3e-4 from the small base, else 1e-4; with LoRA 1e-3"
    )
    lora_rank: int = Field(
        0,
        ge=0,
        le=256,
        description="rank of low-rank adapters (LoRA), which are merged at the end; 0: all weights are trained",
    )
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    answer_tokens: Positive = Field(120_000, description="training ends after this many answer tokens")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 if it is faster than fp32 on this machine"
    )
    seed: int = Field(20, ge=0, le=2**32 - 1)
    new_pair_weight: Positive = Field(
        12, description="how often training sees a taught pair for each time it sees a seed pair"
    )
    checkpoint_every_steps: Positive = 200
    ranks: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="processes that train one bot together on Spark's executors; 1: no Spark, one process"
    )
    rank_cores: Positive = Field(1, description="cores of each rank; only with several ranks")
    rank_gpus: bool = Field(
        False, description="give each rank a GPU of its own (nccl); a cluster must offer Spark the resource `gpu`"
    )


class Learning(Section):
    """What may become a training example, when retraining runs, and which gate thresholds apply."""

    corpora: LocalPath = Field(CHECKOUT / "corpora", description="folder with BOT/seed.csv, gold.csv, golden.json")
    min_age_hours: float = Field(24.0, ge=0, description="minimum age, in hours, of a turn that is trained on")
    auto_review: bool = Field(False, description="accept corrections without review and without a second player")
    legacy_consent: bool = Field(
        False,
        description="train on legacy questions, and on corrections by players who neither gave nor refused consent",
    )
    seed_share: float = Field(0.3, ge=0, le=1, description="minimum share of seed pairs in a dataset")
    rows_per_player: Positive = 50
    rows_per_phrase: Positive = 20
    retrain_cron: Cron = Field(
        "0 4 * * *", description=f"cron schedule of `retrain_bots` in Asia/Seoul; `{NEVER}`: no scheduled runs"
    )
    retrain_on_teachings: bool = Field(True, description="run `retrain_bots` whenever ingest stores new feedback")
    min_new_examples: int = Field(
        5, ge=0, description="minimum number of new examples for a retraining, unless it is forced"
    )
    gate_profile: Literal["auto", "kogpt2", "small_base"] = Field(
        "auto", description="thresholds of the gate; auto: chosen by the base model's size"
    )


class SamplingSettings(Section):
    """Sampling for one bot, instead of greedy decoding."""

    temperature: float = Field(0.7, gt=0)
    top_k: Positive = 40


class Serving(Section):
    """One serving worker."""

    ordinal: int = Field(
        1,
        ge=0,
        description="number of this worker, which sets its transactional id; 0: the first free one on this machine",
    )
    threads: int = Field(0, ge=0, description="cores of the serving engine; 0: all that affinity and CPU quota allow")
    drafts: bool = Field(
        True,
        description="guess the next tokens of an answer from the learned answers and verify several in one pass; "
        "the answers are the same without it",
    )
    short_list: int = Field(
        0,
        ge=0,
        description="0: a bot chooses among its whole vocabulary; N: forms of the native engine that compute only the "
        "tokens of the learned answers and the first N entries take part; one is used if it is fastest and agrees",
    )
    max_batch: Positive = Field(32, description="maximum number of questions that a bot's model decodes at once")
    max_in_flight: Positive = Field(
        96, description="maximum number of questions, over all bots, that are polled from Kafka and not yet answered"
    )
    sampling: dict[BotId, SamplingSettings] = Field(
        default_factory=dict,
        description='sampling by bot, e.g. {"ChatbotA": {"temperature": 0.7}}; other bots decode greedily',
    )
    answer_deadline_s: float = Field(20.0, gt=0, le=3600)
    uncertain: dict[BotId, Literal["model", "nearest", "notice"]] = Field(
        default_factory=dict,
        description="by bot, the reply if its version is unsure, late or silent: `model` (the version's own answer), "
        "`nearest` (the nearest known answer) or `notice` (the bot says that it does not know), e.g. "
        '{"ChatbotA": "notice"}; other bots: `nearest` with the small base, else `model`',
    )
    max_answer_chars: Positive = MAX_SERVED_ANSWER_CHARS
    watchdog_s: Seconds = 120.0
    session_timeout_s: float = Field(
        10.0,
        ge=2,
        le=1800,
        description="time until the partitions of a dead worker are reassigned; brokers limit its range",
    )
    max_crashes: Positive = 3


class Safety(Section):
    """Answers to questions that may be about a crisis."""

    texts: LocalPath = Field(
        Path(safety.__file__).with_name("safety_texts.json"),
        description="JSON file with the vetted answers, the help lines and the date of their last check",
    )
    country: str = Field("KR", description="country in that file whose help lines the answers name")


class Rollout(Section):
    """Time limits of a rollout."""

    ready_timeout_s: Seconds = Field(
        120.0, description="time for all workers to load a version; after it the old champion is published again"
    )
    poll_s: Seconds = Field(0.5, description="interval at which a rollout reads the workers' states")
    registry_timeout_s: Seconds = Field(
        10.0,
        description="time a rollback waits for the model registry; after it, it uses the versions in `rollout_state`",
    )


class Spark(Section):
    """Spark jobs."""

    master: SparkMaster = Field("", description="master URL; empty: local[2], or the stack's standalone master")
    driver_memory: Memory = Field("1g", description="heap of the driver: a whole number with k, m, g or t")
    shuffle_partitions: Positive = 4
    python: str = Field(
        "", description="Python of the executors, with this project's libraries; empty: the path of this one"
    )
    timeout_s: Seconds = Field(
        1800.0, description="a job that takes longer is stopped; a training on several ranks has no limit"
    )
