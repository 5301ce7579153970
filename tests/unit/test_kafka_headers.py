"""Record headers come from clients: no name and no value may block a consumer."""

import pytest
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from kogpt2_chat.adapters.kafka.header_names import accept_any_header_names
from kogpt2_chat.adapters.kafka.topics import to_record
from tests.raw_header_name import RawHeaderName


def records(*headers: list[tuple[str, bytes | None]], compression: int = 0) -> bytes:
    builder = MemoryRecordsBuilder(2, compression, 1_000_000, offset=40)
    for number, pairs in enumerate(headers):
        builder.append(timestamp=1000 + number, key=b"k", value=b"v%d" % number, headers=pairs)
    builder.close()
    return bytes(builder.buffer())


def fetched(batch: bytes) -> Fetcher.PartitionRecords:
    return Fetcher.PartitionRecords(40, TopicPartition("bot_question", 0), MemoryRecords(batch))


UNUSUAL = ([], [(RawHeaderName("x"), b"\xff"), ("n", None), ("", b""), ("이름", "값".encode())], [("ok", b"1")])


@pytest.mark.parametrize("compression", [0, 1])
def test_a_header_name_that_is_not_utf8_is_read_with_replacement_characters(monkeypatch, compression):
    """This works in a compressed batch too; offsets, times and the other records are unchanged."""
    monkeypatch.setattr(memory_records, "DefaultRecordBatch", DefaultRecordBatch)
    accept_any_header_names()
    accept_any_header_names()
    part = fetched(records(*UNUSUAL, compression=compression))
    found = [to_record(record) for record in part.take(10)]
    assert [(record.offset, record.timestamp_ms, record.value) for record in found] == [
        (40, 1000, b"v0"),
        (41, 1001, b"v1"),
        (42, 1002, b"v2"),
    ]
    assert found[1].headers == {"\ufffd\ufffd": "\ufffd", "n": "", "": "", "이름": "값"}
    assert (part.next_fetch_offset, bool(part)) == (43, False)


def test_the_unpatched_client_loops_forever(monkeypatch):
    """The reason for the patch: one error, then no records and no end. This test fails once the client is fixed."""
    monkeypatch.setattr(memory_records, "DefaultRecordBatch", DefaultRecordBatch)
    part = fetched(records(*UNUSUAL))
    assert len(part.take(10)) == 1
    with pytest.raises(CorruptRecordError, match="UnicodeDecodeError"):
        part.take(10)
    assert [part.take(10) for _ in range(3)] == [[], [], []]
    assert part
