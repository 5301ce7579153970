"""Header names of records are from outside, and kafka-python (3.0.12) reads them as strict UTF-8.

One record with another name makes its consumer raise once and then turn in `fetched_records` without end: whoever has
that partition stands still for good. Here such a name is read as Kafka's own Java client reads it, with replacement
characters, and the record goes its way.
"""

from kafka.errors import CorruptRecordError
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint


class _AnyHeaderNames(DefaultRecordBatch):
    """A batch of records whose headers may have any bytes as names."""

    _buffer: bytearray
    _pos: int

    def _read_msg(self) -> DefaultRecord:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:  # nothing has moved yet: the same record is read again
            return self._read_with_any_names()

    def _read_with_any_names(self) -> DefaultRecord:
        """Length, attributes, time, offset, key, value, headers: https://kafka.apache.org/documentation/#record."""
        length, begin = decode_varint(self._buffer, self._pos)
        _, position = decode_varint(self._buffer, begin)
        later_ms, position = decode_varint(self._buffer, position)
        offset_delta, position = decode_varint(self._buffer, position)
        key, position = self._bytes_at(position)
        value, position = self._bytes_at(position)
        count, position = decode_varint(self._buffer, position)
        headers = []
        for _ in range(count):
            name, position = self._bytes_at(position)
            content, position = self._bytes_at(position)
            headers.append(((name or b"").decode("utf-8", "replace"), content))
        if position - begin != length:
            raise CorruptRecordError(f"a record of {length} bytes was expected, found {position - begin}")
        self._pos = position
        appended = self.timestamp_type == self.LOG_APPEND_TIME
        timestamp = self.max_timestamp if appended else self.first_timestamp + later_ms
        return DefaultRecord(
            length, self.base_offset + offset_delta, timestamp, self.timestamp_type, key, value, headers
        )

    def _bytes_at(self, position: int) -> tuple[bytes | None, int]:
        size, position = decode_varint(self._buffer, position)
        if size < 0:
            return None, position
        return bytes(self._buffer[position : position + size]), position + size


def accept_any_header_names() -> None:
    """Let every consumer of this process read such records. May be called again."""
    memory_records.DefaultRecordBatch = _AnyHeaderNames
