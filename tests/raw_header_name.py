"""A record header whose name cannot be decoded, as any client can send it."""


class RawHeaderName(str):
    """A header name that is encoded as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"
