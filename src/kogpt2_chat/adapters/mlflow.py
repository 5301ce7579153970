"""The model registry on an MLflow server.

Only plain client calls: ``mlflow.transformers`` and ``pyfunc`` are never used, because both may run code that is stored
in an artifact. Files are transferred through the server's artifact proxy and never interpreted here.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import requests
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, Param
from mlflow.entities.model_registry import ModelVersion as MlflowVersion
from mlflow.exceptions import MlflowException

from kogpt2_chat.domain.chat.bots import BOT_BY_ID
from kogpt2_chat.errors import InvalidInput, KogptChatError, NotFound, Unavailable
from kogpt2_chat.ports import Alias, ModelVersion, TrainingRun
from kogpt2_chat.settings import Mlflow, Settings

MAX_PARAMS: Final = 100  # per log_batch call, a limit of the server
MAX_TAG: Final = 5000
MAX_DESCRIPTION: Final = 5000  # a column of the server's database; SQLite does not check it, others refuse

_NOT_FOUND: Final = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"}
_EXISTS: Final = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}
# The client reports both a refused connection and a 5xx reply as INTERNAL_ERROR.
_UNAVAILABLE: Final = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED"}


class MlflowRegistry:
    """:class:`kogpt2_chat.ports.Registry` on the MLflow server of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.mlflow_url
        self._experiment = settings.mlflow.experiment
        _set_client_defaults(settings.mlflow)
        self._client = MlflowClient(tracking_uri=self._url, registry_uri=self._url)

    def start_run(self, name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """See :meth:`kogpt2_chat.ports.Registry.start_run`."""
        with self._calling(f"starting run {name!r}"):
            run = self._client.create_run(self._experiment_id(), tags=dict(tags), run_name=name)
            run_id: str = run.info.run_id
            pairs = [Param(key, str(value)) for key, value in params.items()]
            for start in range(0, len(pairs), MAX_PARAMS):
                self._client.log_batch(run_id, params=pairs[start : start + MAX_PARAMS])
        return run_id

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.log_metrics`."""
        now_ms = time.time_ns() // 1_000_000
        with self._calling(f"logging metrics of run {run_id}"):
            self._client.log_batch(run_id, metrics=[Metric(k, float(v), now_ms, step) for k, v in metrics.items()])

    def log_files(self, run_id: str, folder: Path, path: str) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.log_files`."""
        if not folder.exists():
            raise NotFound(f"cannot upload {folder} to run {run_id}: expected a folder or file, found nothing")
        with self._calling(f"uploading {folder.name} to run {run_id}"):
            upload = self._client.log_artifacts if folder.is_dir() else self._client.log_artifact
            upload(run_id, str(folder), path or None)

    def end_run(self, run_id: str, *, failed: bool = False) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.end_run`."""
        with self._calling(f"ending run {run_id}"):
            self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED")

    def run(self, run_id: str) -> TrainingRun:
        """See :meth:`kogpt2_chat.ports.Registry.run`."""
        with self._calling(f"reading run {run_id}"):
            found = self._client.get_run(run_id)
        return TrainingRun(
            run_id=run_id,
            started_ms=found.info.start_time,
            ended_ms=found.info.end_time,
            metrics=dict(found.data.metrics),
            page=f"#/experiments/{found.info.experiment_id}/runs/{run_id}",
        )

    def add_version(self, bot: str, run_id: str, path: str, tags: Mapping[str, str]) -> int:
        """See :meth:`kogpt2_chat.ports.Registry.add_version`.

        Two concurrent callers may both create a version: the lower number wins, the other version is deleted, and both
        callers return the same number.
        """
        with self._calling(f"registering run {run_id} for {bot}"):
            known = self._version_of_run(bot, run_id)
            if known is not None:
                return known
            if not self._client.list_artifacts(run_id, path):
                raise NotFound(f"run {run_id} has no artifact folder {path!r}: train again, or choose another run")
            self._ensure_model(bot)
            source = f"{self._client.get_run(run_id).info.artifact_uri}/{path}"
            created = int(
                self._client.create_model_version(
                    bot, source, run_id, tags=_truncated(tags), await_creation_for=0
                ).version
            )
            first = self._version_of_run(bot, run_id) or created
            if first != created:
                self._client.delete_model_version(bot, str(created))
        return first

    def versions(self, bot: str) -> list[ModelVersion]:
        """See :meth:`kogpt2_chat.ports.Registry.versions`."""
        with self._calling(f"listing versions of {bot}"):
            found = self._search(f"name = '{_quoted(bot)}'")
            aliases = self._aliases(bot) if found else {}
        return sorted((_version(one, aliases) for one in found), key=lambda version: version.version)

    def get(self, bot: str, version: int) -> ModelVersion:
        """See :meth:`kogpt2_chat.ports.Registry.get`."""
        with self._calling(f"reading {bot} version {version}"):
            return _version(self._client.get_model_version(bot, str(version)), self._aliases(bot))

    def by_alias(self, bot: str, alias: Alias) -> ModelVersion | None:
        """See :meth:`kogpt2_chat.ports.Registry.by_alias`."""
        with self._calling(f"resolving alias {alias} of {bot}"):
            aliases = self._aliases(bot)
            number = aliases.get(alias)
            return None if number is None else _version(self._client.get_model_version(bot, str(number)), aliases)

    def set_alias(self, bot: str, alias: Alias, version: int | None) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.set_alias`."""
        with self._calling(f"moving alias {alias} of {bot} to version {version}"):
            if version is not None:
                self._client.get_model_version(bot, str(version))  # the server does not check that the version exists
                self._client.set_registered_model_alias(bot, alias, str(version))
            elif alias in self._aliases(bot):
                self._client.delete_registered_model_alias(bot, alias)

    def tag(self, bot: str, version: int, tags: Mapping[str, str]) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.tag`."""
        with self._calling(f"tagging {bot} version {version}"):
            for key, value in _truncated(tags).items():
                self._client.set_model_version_tag(bot, str(version), key, value)

    def describe(self, bot: str, version: int, text: str) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.describe`."""
        with self._calling(f"describing {bot} version {version}"):
            self._client.update_model_version(bot, str(version), text[:MAX_DESCRIPTION])

    def download(self, bot: str, version: int, folder: Path) -> Path:
        """See :meth:`kogpt2_chat.ports.Registry.download`."""
        if folder.exists():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            with self._calling(f"downloading {bot} version {version}"):
                source = self._client.get_model_version_download_uri(bot, str(version))
                files = Path(download_artifacts(artifact_uri=source, dst_path=temporary, tracking_uri=self._url))
            if not files.is_dir() or not any(files.iterdir()):
                raise NotFound(f"{bot} version {version} has no files at {source}: register the run again")
            _publish(files, folder)
        return folder

    def read_file(self, bot: str, version: int, path: str) -> bytes:
        """See :meth:`kogpt2_chat.ports.Registry.read_file`."""
        run_id = self.get(bot, version).run_id
        with (
            tempfile.TemporaryDirectory() as temporary,
            self._calling(f"reading {path} of {bot} version {version}"),
        ):
            if not self._has_file(run_id, path):
                raise NotFound(f"{bot} version {version} has no artifact {path!r} (run {run_id})")
            return Path(self._client.download_artifacts(run_id, path, temporary)).read_bytes()

    def _has_file(self, run_id: str, path: str) -> bool:
        parent = path.rpartition("/")[0] or None
        return any(entry.path == path and not entry.is_dir for entry in self._client.list_artifacts(run_id, parent))

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            _unless_exists(lambda: self._client.create_experiment(self._experiment))
            found = self._client.get_experiment_by_name(self._experiment)
        if found is None or found.lifecycle_stage != "active":
            raise InvalidInput(
                f"MLflow experiment {self._experiment!r} was deleted: restore it, or set KOGPT2_MLFLOW__EXPERIMENT"
            )
        return str(found.experiment_id)

    def _ensure_model(self, bot: str) -> None:
        known = BOT_BY_ID.get(bot)
        description = f"{known.name}: {known.persona}" if known else None
        tags = {"name": known.name, "persona": known.persona} if known else None
        _unless_exists(lambda: self._client.create_registered_model(bot, tags, description))

    def _version_of_run(self, bot: str, run_id: str) -> int | None:
        found = self._search(f"name = '{_quoted(bot)}' and run_id = '{_quoted(run_id)}'")
        return min((int(one.version) for one in found), default=None)

    def _search(self, query: str) -> list[MlflowVersion]:
        found: list[MlflowVersion] = []
        token = None
        while True:
            page = self._client.search_model_versions(query, page_token=token)
            found.extend(page)
            token = page.token
            if not token:
                return found

    def _aliases(self, bot: str) -> dict[str, int]:
        """Read the aliases from the registered model: search results do not always contain them."""
        try:
            model = self._client.get_registered_model(bot)
        except MlflowException as error:
            if error.error_code in _NOT_FOUND:
                return {}
            raise
        return {alias: int(number) for alias, number in model.aliases.items()}

    @contextmanager
    def _calling(self, operation: str) -> Iterator[None]:
        """Convert the client's errors to the platform's; the message names the failed operation."""
        try:
            yield
        except KogptChatError:
            raise
        except MlflowException as error:
            raise self._converted(operation, str(error.error_code), error) from error
        except (requests.RequestException, ConnectionError, TimeoutError) as error:
            response = getattr(error, "response", None)
            gone = response is not None and response.status_code == requests.codes.not_found
            raise self._converted(operation, "NOT_FOUND" if gone else "INTERNAL_ERROR", error) from error

    def _converted(self, operation: str, code: str, error: Exception) -> KogptChatError:
        if code in _NOT_FOUND:
            return NotFound(f"{operation}: not found on MLflow at {self._url} ({error})")
        if code in _UNAVAILABLE:
            return Unavailable(f"{operation}: MLflow at {self._url} did not answer or failed; is it running? ({error})")
        return InvalidInput(f"{operation}: MLflow at {self._url} refused the request with {code} ({error})")


def _set_client_defaults(mlflow: Mlflow) -> None:
    """Configure the client, including its login, through environment variables: it cannot be configured otherwise.

    By default it retries for four minutes and prints URLs to standard output, which is reserved for a command's JSON.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, round(mlflow.timeout_s))))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if mlflow.username:
        os.environ["MLFLOW_TRACKING_USERNAME"] = mlflow.username
        os.environ["MLFLOW_TRACKING_PASSWORD"] = mlflow.password.get_secret_value()


def _unless_exists(create: Callable[[], object]) -> None:
    try:
        create()
    except MlflowException as error:
        if error.error_code not in _EXISTS:
            raise


def _publish(files: Path, folder: Path) -> None:
    try:
        files.rename(folder)
    except OSError:  # the folder is not empty: another process published the same files first
        if not folder.is_dir():
            raise


def _version(found: MlflowVersion, aliases: Mapping[str, int]) -> ModelVersion:
    number = int(found.version)
    return ModelVersion(
        bot=found.name,
        version=number,
        run_id=found.run_id or "",
        tags=dict(found.tags),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == number)),
        created_ms=int(found.creation_timestamp or 0),
        description=found.description or "",
        page=f"#/models/{quote(found.name)}/versions/{number}",
    )


def _truncated(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: str(value)[:MAX_TAG] for key, value in tags.items()}


def _quoted(text: str) -> str:
    if "'" in text:
        raise InvalidInput(f"invalid bot or run name {text!r}: names must not contain an apostrophe")
    return text
