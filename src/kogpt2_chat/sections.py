"""The sections of the settings tree, one for each room or server. What a figure means stands in its description."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr

from kogpt2_chat.domain import safety
from kogpt2_chat.domain.servers.addresses import HIGHEST_PORT
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.section_types import NEVER, BotId, Cron, FolderOrName, LocalPath, Port, Positive, Seconds, Section

CHECKOUT: Final = Path(__file__).resolve().parents[2]
LOOPBACK: Final = "127.0.0.1"
EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - compared with, never a default


class Ports(Section):
    """Where each server listens. ``offset`` shifts all of them, so that stacks run side by side."""

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

    def at(self, port: int) -> int:
        """The port as it is really used: shifted by the offset.

        Raises:
            InvalidInput: the shifted port is above 65535.
        """
        if port + self.offset > HIGHEST_PORT:
            raise InvalidInput(f"port {port} + offset {self.offset} is above 65535: lower KOGPT2_PORTS__OFFSET")
        return port + self.offset


class Stack(Section):
    """How the servers run on this machine."""

    host: str = Field(LOOPBACK, description="IPv4 address of this machine all servers bind to; 0.0.0.0: all of them")
    advertised_host: str = Field(
        "", description="where other machines reach the stack, told to Kafka's clients; empty: the address bound to"
    )
    workers: Annotated[int, Field(ge=0, le=12)] = Field(1, description="serving workers")
    spark: Literal["local", "standalone"] = "local"
    airflow_database: SecretStr = Field(
        SecretStr(""), description="SQLAlchemy address of PostgreSQL; empty: SQLite in the home folder"
    )
    airflow_parallelism: Positive = 4
    trainings_at_once: int = Field(
        0, ge=0, le=4, description="trainings and evaluations side by side; 0: two where there are 20 GiB of memory"
    )
    airflow_password: SecretStr | None = Field(None, description="for tests; otherwise generated at first start")
    unprivileged_user: str = Field("nobody", description="who runs servers that refuse root, when started as root")
    kafka_heap_mb: Positive = 384
    hdfs_heap_mb: Positive = 192
    elasticsearch_heap_mb: Positive = 384
    stall_s: Seconds = Field(30.0, description="a server whose log and CPU time stand still so long is given up")
    start_hard_end_s: Seconds = Field(900.0, description="the longest that `up` waits for any one server")
    stop_timeout_s: Seconds = 30.0
    min_memory_mb: int = Field(6000, ge=0, description="free memory `up` asks for")
    min_disk_mb: int = Field(3000, ge=0, description="free disk `up` asks for")
    keep_free_mb: int = Field(
        256, ge=1, description="disk that lake and index leave to Kafka; a server that died waits for as much"
    )


class Model(Section):
    """Which base model, and how an answer is decoded."""

    base: FolderOrName = Field(
        "auto",
        description="`small`, a hub id or a folder; `auto`: KoGPT2 where it can be had, else `small`; kept by the home",
    )
    revision: str = Field("main", description="pinned hub revision of the base")
    base_sha256: str = Field("", description="expected hash of the base's weights file; empty: not checked")
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
    small_learn_questions: bool = Field(True, description="questions are learned as well as answers")
    small_patience: Positive = Field(
        3, description="epochs without a better NLL of held-out seeds that end the training"
    )
    small_answer_tokens: Positive = Field(
        6_000_000, description="most answer tokens that it learns from, for large corpora"
    )
    max_prompt_tokens: Positive = 128
    max_new_tokens: Positive = 48
    threads: int = Field(0, ge=0, description="torch threads; 0: torch's own choice, or what a CPU quota allows")


class Training(Section):
    """Fine-tuning of one bot."""

    epochs: int = Field(0, ge=0, description="passes over the dataset, from a base; 0: 1 from the small one, else 3")
    batch_size: Positive = Field(32, description="examples per optimizer step")
    learning_rate: float = Field(0.0, ge=0, description="peak of the cosine; 0: 3e-4 from the small base, else 5e-5")
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    answer_tokens: Positive = Field(
        120_000, description="budget of answer tokens: training ends when so many have been learned from"
    )
    clip_norm: float = Field(1.0, gt=0)
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where this machine computes it faster than fp32"
    )
    seed: int = Field(20, ge=0, le=2**32 - 1)
    new_pair_weight: Positive = Field(12, description="times a taught pair is seen for each time a seed pair is")
    checkpoint_every_steps: Positive = 200


class Learning(Section):
    """What may become a training example, and what a candidate must reach."""

    corpora: LocalPath = Field(CHECKOUT / "corpora", description="folder with BOT/seed.csv, gold.csv, golden.json")
    quarantine_hours: float = Field(24.0, ge=0, description="turns younger than this wait")
    auto_review: bool = Field(False, description="accept corrections without review or agreement of two players")
    legacy_consent: bool = Field(
        False, description="legacy questions, and corrections of players who never said yes or no, may be trained on"
    )
    seed_share: float = Field(0.3, ge=0, le=1, description="least share of seed pairs in a dataset")
    rows_per_player: Positive = 50
    rows_per_phrase: Positive = 20
    retrain_cron: Cron = Field(
        "0 4 * * *", description=f"when `retrain_bots` runs by itself, in Asia/Seoul; `{NEVER}`: not by the clock"
    )
    retrain_on_teachings: bool = Field(True, description="`retrain_bots` runs when ingest brings new feedback")
    min_new_examples: int = Field(5, ge=0, description="fewer new examples than this: no retraining unless forced")
    gate_profile: Literal["auto", "kogpt2", "small_base"] = Field("auto", description="auto: by the base model's size")


class SamplingSettings(Section):
    """How one bot draws its tokens instead of taking the likeliest."""

    temperature: float = Field(0.7, gt=0)
    top_k: Positive = 40


class Serving(Section):
    """One worker."""

    slot: int = Field(
        1, ge=0, description="number of this worker, its stable transactional id; 0: the first free one here"
    )
    threads: int = Field(0, ge=0, description="cores of the openvino engine; 0: all that affinity and CPU quota allow")
    max_batch: Positive = Field(32, description="questions a bot's model decodes at once")
    max_in_flight: Positive = Field(96, description="questions of all bots taken from Kafka and not yet answered")
    sampling: dict[BotId, SamplingSettings] = Field(
        default_factory=dict, description='by bot, e.g. {"ChatbotA": {"temperature": 0.7}}; others are greedy'
    )
    answer_deadline_s: float = Field(20.0, gt=0, le=3600)
    uncertain: dict[BotId, Literal["model", "nearest", "notice"]] = Field(
        default_factory=dict,
        description="by bot, what is said where its version is unsure, late or silent: its own answer all the same, "
        'the nearest known answer, or that it does not know, e.g. {"ChatbotA": "notice"}; others: nearest from the '
        "small base, else model",
    )
    max_answer_chars: Positive = 300
    swap_poll_s: Seconds = 0.5
    watchdog_s: Seconds = 120.0
    session_timeout_s: float = Field(
        10.0, ge=2, le=1800, description="how long a worker that went keeps its partitions; brokers have bounds for it"
    )
    max_crashes: Positive = 3
    nice: int = Field(0, ge=0, le=19)


class Safety(Section):
    """What is answered where a question may speak of a crisis."""

    texts: LocalPath = Field(
        Path(safety.__file__).with_name("safety_texts.json"),
        description="JSON file with the vetted answers, the help lines, and when they were last checked",
    )
    country: str = Field("KR", description="whose help lines the answers name, as the file has them")


class Rollout(Section):
    """How long a new version may take to be spoken by all workers."""

    ready_timeout_s: Seconds = Field(120.0, description="past it the old champion is published again")
    poll_s: Seconds = Field(0.5, description="how often the workers' states are read meanwhile")
    registry_timeout_s: Seconds = Field(
        10.0, description="past it a rollback goes by what the workers were told, without the model registry"
    )
