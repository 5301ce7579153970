"""Make kafka-python accept record headers whose names are not valid UTF-8.

kafka-python (3.0.12) decodes header names as strict UTF-8, and any client can write a name that is not. Such a record
makes the consumer raise once and then loop in `fetched_records` forever, so its partition is never read again. This
module decodes such names with replacement characters, as Kafka's Java client does, and the record is read normally.
"""

from kafka.errors import CorruptRecordError
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint


class _AnyHeaderNames(DefaultRecordBatch):
    """A record batch whose header names may be any bytes."""

    _buffer: bytearray
    _pos: int

    def _read_msg(self) -> DefaultRecord:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:  # the read position has not moved: read the same record again
            return self._read_with_any_names()

    def _read_with_any_names(self) -> DefaultRecord:
        """Parse a record: length, attributes, timestamp delta, offset delta, key, value, headers.

        Format: https://kafka.apache.org/documentation/#record.
        """
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
            raise CorruptRecordError(f"expected a record of {length} bytes, found {position - begin}")
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
    """Patch kafka-python so that every consumer of this process reads such records. Safe to call repeatedly."""
    memory_records.DefaultRecordBatch = _AnyHeaderNames
