"""Which errors of a server are retried, how often and after which pauses. The pauses are simulated."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests
from deltalake.exceptions import DeltaError, DeltaProtocolError
from elastic_transport import ConnectionError as ElasticConnectionError
from hdfs import HdfsError

from kogpt2_chat.adapters import delta
from kogpt2_chat.adapters.airflow import AirflowRest
from kogpt2_chat.adapters.delta import DeltaTables
from kogpt2_chat.adapters.elastic import ElasticIndex
from kogpt2_chat.adapters.hdfs import HdfsFiles
from kogpt2_chat.adapters.retry import call_with_retries
from kogpt2_chat.domain.search.fields import TURN_INDEX
from kogpt2_chat.errors import InvalidInput, NotFound, Unavailable
from kogpt2_chat.settings import Hdfs, Settings

SETTINGS = Settings(hdfs=Hdfs(retries=6))


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    return slept


def failing(*errors: BaseException) -> Callable[..., Any]:
    """Raise the errors, one per call, then return None."""
    left = list(errors)

    def call(*_args: object, **_kwargs: object) -> None:
        if left:
            raise left.pop(0)

    return call


def test_the_pauses_double_up_to_a_maximum(pauses: list[float]) -> None:
    """The last error is raised unchanged, without a pause before that."""
    errors = [OSError(str(number)) for number in range(6)]
    with pytest.raises(OSError, match=r"^4$"):
        call_with_retries(
            failing(*errors), is_transient=lambda _: True, attempts=5, first_delay_s=0.5, longest_delay_s=1.5
        )
    assert pauses == [0.5, 1.0, 1.5, 1.5]


def test_a_permanent_error_ends_the_attempts(pauses: list[float]) -> None:
    """It is raised at once, even after a transient error."""
    call = failing(OSError("transient"), ValueError("permanent"))
    with pytest.raises(ValueError, match="permanent"):
        call_with_retries(call, is_transient=lambda error: isinstance(error, OSError), attempts=9, first_delay_s=2)
    assert pauses == [2]


def test_hdfs_is_retried_while_it_starts(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    """Network errors and unknown errors of the server may be transient."""
    files = HdfsFiles(SETTINGS)
    safe_mode = HdfsError("in safe mode", exception="SafeModeException")
    errors = [requests.ConnectionError("refused"), safe_mode, OSError("reset")] * 2
    monkeypatch.setattr(files._client, "status", failing(*errors))
    assert not files.exists("/a")
    assert pauses == [0.5, 1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (HdfsError("File does not exist: /a"), NotFound, "cannot delete /a: the path does not exist"),
        (HdfsError("gone", exception="FileNotFoundException"), NotFound, "the path does not exist"),
        (HdfsError("denied", exception="AccessControlException"), Unavailable, "cannot delete /a: denied"),
    ],
)
def test_a_permanent_error_of_hdfs_is_not_retried(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], error: HdfsError, raised: type[Exception], message: str
) -> None:
    """The server would respond in the same way again."""
    files = HdfsFiles(SETTINGS)
    monkeypatch.setattr(files._client, "delete", failing(error))
    with pytest.raises(raised, match=re.escape(message)):
        files.delete("/a")
    assert pauses == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (requests.ConnectionError("refused"), "cannot delete /a after 7 attempts: refused; is it running?"),
        (HdfsError("in safe mode"), "cannot delete /a: in safe mode; its disk is full or its DataNodes are down"),
    ],
)
def test_hdfs_that_does_not_recover_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], error: Exception, message: str
) -> None:
    """The message has the number of attempts or the likely cause."""
    files = HdfsFiles(SETTINGS)
    monkeypatch.setattr(files._client, "delete", failing(*[error] * 9))
    with pytest.raises(Unavailable, match=re.escape(message)):
        files.delete("/a")
    assert len(pauses) == 6


def test_an_existing_folder_on_hdfs_is_not_an_error(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    """The folder was published before, so the call is not retried and the source is removed."""
    files = HdfsFiles(SETTINGS)
    monkeypatch.setattr(files._client, "makedirs", failing())
    monkeypatch.setattr(files._client, "_rename", failing(HdfsError("a", exception="FileAlreadyExistsException")))
    deleted: list[str] = []
    monkeypatch.setattr(files._client, "delete", lambda path, **_: deleted.append(path))
    assert not files.publish_folder("/a", "/b/a")
    assert (deleted, pauses) == (["/a"], [])


def test_delta_is_retried_while_hdfs_recovers(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    """HDFS notices a dead DataNode within 20 s, so all attempts together take longer."""
    monkeypatch.setattr(delta, "DeltaTable", failing(*[DeltaError("lost block"), OSError("reset")] * 4))
    with pytest.raises(Unavailable, match="failed in 7 attempts: lost block"):
        DeltaTables(SETTINGS).table_version("turns")
    assert pauses == [1, 2, 4, 8, 10, 10]


def test_a_table_of_another_protocol_is_not_retried(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    """This release can never read it."""
    monkeypatch.setattr(delta, "DeltaTable", failing(DeltaProtocolError("reader version 9")))
    with pytest.raises(InvalidInput, match="schema or protocol that this release cannot use: reader version 9"):
        DeltaTables(SETTINGS).table_version("turns")
    assert pauses == []


def test_documents_that_elasticsearch_refused_are_sent_again(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """After an error all documents are sent again, after a partial success only the refused ones."""
    index, sent = ElasticIndex(SETTINGS), []

    def bulk(operations: list[Any], **_: object) -> dict[str, object]:
        sent.append([line["index"]["_id"] for line in operations[::2]])
        if len(sent) == 1:
            raise ElasticConnectionError("refused")
        return {"items": [{"index": {"status": 201 if one == "a" else 429}} for one in sent[-1]]}

    monkeypatch.setattr(index._client, "bulk", bulk)
    with pytest.raises(Unavailable, match=r"1 of 2 documents were not accepted \(429\), in 7 attempts"):
        index.put(TURN_INDEX, [("a", {}), ("b", {})])
    assert sent == [["a", "b"], ["a", "b"], *[["b"]] * 5]
    assert pauses == [0.5, 1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("status", "kind", "is_refused"),
    [
        (400, "mapper_parsing_exception", True), (400, "strict_dynamic_mapping_exception", True),
        (400, "index_closed_exception", False), (403, "security_exception", False),
        (403, "cluster_block_exception", False), (429, "es_rejected_execution_exception", False),
    ],
)  # fmt: skip
def test_only_a_fault_of_the_document_itself_refuses_it(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], status: int, kind: str, is_refused: bool
) -> None:
    """Otherwise a closed index or a missing permission would lose every turn of that time."""
    index = ElasticIndex(SETTINGS)
    item = {"index": {"status": status, "error": {"type": kind, "reason": "no"}}}
    monkeypatch.setattr(index._client, "bulk", lambda **_: {"items": [item]})
    if is_refused:
        assert [refusal.document_id for refusal in index.put(TURN_INDEX, [("a", {})]).refused] == ["a"]
        assert pauses == []
        return
    with pytest.raises(Unavailable, match=kind):
        index.put(TURN_INDEX, [("a", {})])


def test_airflow_is_called_four_times(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    """Each pause is half a second."""
    airflow = AirflowRest(SETTINGS, "secret")
    monkeypatch.setattr(airflow._session, "request", failing(*[requests.ConnectionError("refused")] * 9))
    with pytest.raises(Unavailable, match="does not answer; is the stack up"):
        airflow.get_run("retrain_bots", "1")
    assert pauses == [0.5, 0.5, 0.5]
