"""The model registry on an MLflow server.

Plain client calls only: neither ``mlflow.transformers`` nor ``pyfunc`` is ever used, because both may run
code that lies in an artefact. Files go through the server's artefact proxy and come back unopened.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, Param
from mlflow.entities.model_registry import ModelVersion as MlflowVersion
from mlflow.exceptions import MlflowException

from kogpt2_chat.domain.chat.bots import BOT_BY_ID
from kogpt2_chat.errors import InvalidInput, KogptChatError, NotFound, Unavailable
from kogpt2_chat.ports import Alias, ModelVersion
from kogpt2_chat.settings import Mlflow, Settings

MAX_PARAMS: Final = 100  # of one log_batch call, a limit of the server
MAX_TAG: Final = 5000

_GONE: Final = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"}
_TAKEN: Final = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}
# A refused connection and a 5xx reply both come out of the client as INTERNAL_ERROR.
_AWAY: Final = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED"}


class MlflowRegistry:
    """:class:`kogpt2_chat.ports.Registry` on the MLflow server of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.mlflow_url
        self._experiment = settings.mlflow.experiment
        _set_client_defaults(settings.mlflow)
        self._client = MlflowClient(tracking_uri=self._url, registry_uri=self._url)

    def start_run(self, name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Open a run with its params; give its id."""
        with self._asking(f"opening run {name!r}"):
            run = self._client.create_run(self._experiment_id(), tags=dict(tags), run_name=name)
            run_id: str = run.info.run_id
            pairs = [Param(key, str(value)) for key, value in params.items()]
            for start in range(0, len(pairs), MAX_PARAMS):
                self._client.log_batch(run_id, params=pairs[start : start + MAX_PARAMS])
        return run_id

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record figures of one step."""
        now_ms = time.time_ns() // 1_000_000
        with self._asking(f"recording metrics of run {run_id}"):
            self._client.log_batch(run_id, metrics=[Metric(k, float(v), now_ms, step) for k, v in metrics.items()])

    def log_files(self, run_id: str, folder: Path, path: str) -> None:
        """Upload a local folder (or file) below an artefact path of the run.

        Raises:
            NotFound: there is no such local folder or file.
        """
        if not folder.exists():
            raise NotFound(f"nothing to upload at {folder}: expected a folder or file for run {run_id}")
        with self._asking(f"uploading {folder.name} to run {run_id}"):
            upload = self._client.log_artifacts if folder.is_dir() else self._client.log_artifact
            upload(run_id, str(folder), path or None)

    def end_run(self, run_id: str, *, failed: bool = False) -> None:
        """Close a run."""
        with self._asking(f"closing run {run_id}"):
            self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED")

    def add_version(self, bot: str, run_id: str, path: str, tags: Mapping[str, str]) -> int:
        """Register the run's artefact folder as a new version; the same run twice gives the same version.

        Two callers at once may both create one: the lower number wins and the other is taken back, so
        that both give the same answer.

        Raises:
            NotFound: there is no such run, or it has no such folder.
        """
        with self._asking(f"registering run {run_id} for {bot}"):
            known = self._version_of_run(bot, run_id)
            if known is not None:
                return known
            if not self._client.list_artifacts(run_id, path):
                raise NotFound(f"run {run_id} has no artefact folder {path!r}: train again, or name another run")
            self._ensure_model(bot)
            source = f"{self._client.get_run(run_id).info.artifact_uri}/{path}"
            made = int(
                self._client.create_model_version(bot, source, run_id, tags=_short(tags), await_creation_for=0).version
            )
            first = self._version_of_run(bot, run_id) or made
            if first != made:
                self._client.delete_model_version(bot, str(made))
        return first

    def versions(self, bot: str) -> list[ModelVersion]:
        """All versions, oldest first; empty for an unknown bot."""
        with self._asking(f"listing versions of {bot}"):
            found = self._search(f"name = '{_quoted(bot)}'")
            aliases = self._aliases(bot) if found else {}
        return sorted((_version(one, aliases) for one in found), key=lambda version: version.version)

    def get(self, bot: str, version: int) -> ModelVersion:
        """One version.

        Raises:
            NotFound: no such version.
        """
        with self._asking(f"reading {bot} version {version}"):
            return _version(self._client.get_model_version(bot, str(version)), self._aliases(bot))

    def by_alias(self, bot: str, alias: Alias) -> ModelVersion | None:
        """The version that an alias points at now."""
        with self._asking(f"resolving alias {alias} of {bot}"):
            aliases = self._aliases(bot)
            number = aliases.get(alias)
            return None if number is None else _version(self._client.get_model_version(bot, str(number)), aliases)

    def set_alias(self, bot: str, alias: Alias, version: int | None) -> None:
        """Move an alias; None removes it.

        Raises:
            NotFound: no such version.
        """
        with self._asking(f"moving alias {alias} of {bot} to version {version}"):
            if version is not None:
                self._client.get_model_version(bot, str(version))  # the server would accept a number that is not there
                self._client.set_registered_model_alias(bot, alias, str(version))
            elif alias in self._aliases(bot):
                self._client.delete_registered_model_alias(bot, alias)

    def tag(self, bot: str, version: int, tags: Mapping[str, str]) -> None:
        """Add or replace tags of a version (values are cut at 5000 characters)."""
        with self._asking(f"tagging {bot} version {version}"):
            for key, value in _short(tags).items():
                self._client.set_model_version_tag(bot, str(version), key, value)

    def download(self, bot: str, version: int, folder: Path) -> Path:
        """Copy a version's files into a new local folder; all of them or none.

        A folder that is there already, or appears meanwhile, was finished by another process: since folders
        only ever appear whole, it is given back as it is.

        Raises:
            NotFound: no such version, or its files are gone.
        """
        if folder.exists():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
            with self._asking(f"downloading {bot} version {version}"):
                source = self._client.get_model_version_download_uri(bot, str(version))
                files = Path(download_artifacts(artifact_uri=source, dst_path=aside, tracking_uri=self._url))
            if not files.is_dir() or not any(files.iterdir()):
                raise NotFound(f"{bot} version {version} has no files at {source}: register the run again")
            _publish(files, folder)
        return folder

    def read_file(self, bot: str, version: int, path: str) -> bytes:
        """One artefact of the version's run.

        Raises:
            NotFound: no such artefact.
        """
        run_id = self.get(bot, version).run_id
        with (
            tempfile.TemporaryDirectory() as aside,
            self._asking(f"reading {path} of {bot} version {version}"),
        ):
            if not self._has_file(run_id, path):
                raise NotFound(f"{bot} version {version} has no artefact {path!r} (run {run_id})")
            return Path(self._client.download_artifacts(run_id, path, aside)).read_bytes()

    def _has_file(self, run_id: str, path: str) -> bool:
        parent = path.rpartition("/")[0] or None
        return any(entry.path == path and not entry.is_dir for entry in self._client.list_artifacts(run_id, parent))

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            _unless_taken(lambda: self._client.create_experiment(self._experiment))
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
        _unless_taken(lambda: self._client.create_registered_model(bot, tags, description))

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
        """From the model itself: a search does not always fill the aliases in."""
        try:
            model = self._client.get_registered_model(bot)
        except MlflowException as error:
            if error.error_code in _GONE:
                return {}
            raise
        return {alias: int(number) for alias, number in model.aliases.items()}

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        """Turn the client's errors into the platform's, with what was being done."""
        try:
            yield
        except KogptChatError:
            raise
        except MlflowException as error:
            raise self._named(doing, str(error.error_code), error) from error
        except (requests.RequestException, ConnectionError, TimeoutError) as error:
            response = getattr(error, "response", None)
            gone = response is not None and response.status_code == requests.codes.not_found
            raise self._named(doing, "NOT_FOUND" if gone else "INTERNAL_ERROR", error) from error

    def _named(self, doing: str, code: str, error: Exception) -> KogptChatError:
        if code in _GONE:
            return NotFound(f"{doing}: MLflow at {self._url} knows nothing of it ({error})")
        if code in _AWAY:
            return Unavailable(f"{doing}: MLflow at {self._url} did not answer as it should; is it up? ({error})")
        return InvalidInput(f"{doing}: MLflow at {self._url} refused it with {code} ({error})")


def _set_client_defaults(mlflow: Mlflow) -> None:
    """The client is set up by the environment only, its login too.

    By itself it retries for four minutes, and prints addresses to standard output, where a command's JSON goes.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, round(mlflow.timeout_s))))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if mlflow.username:
        os.environ["MLFLOW_TRACKING_USERNAME"] = mlflow.username
        os.environ["MLFLOW_TRACKING_PASSWORD"] = mlflow.password.get_secret_value()


def _unless_taken(create: Callable[[], object]) -> None:
    try:
        create()
    except MlflowException as error:
        if error.error_code not in _TAKEN:
            raise


def _publish(files: Path, folder: Path) -> None:
    try:
        files.rename(folder)
    except OSError:  # not empty: another process was faster with the same files
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
    )


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: str(value)[:MAX_TAG] for key, value in tags.items()}


def _quoted(text: str) -> str:
    if "'" in text:
        raise InvalidInput(f"a bot or run named {text!r} cannot exist: names have no apostrophe")
    return text
