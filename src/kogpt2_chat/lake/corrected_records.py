"""Read a file of quarantined records that an operator has corrected."""

from pathlib import Path

from kogpt2_chat.domain.lake.mending import read_corrected
from kogpt2_chat.domain.lake.quarantine import RecordPosition
from kogpt2_chat.domain.text.csv_text import decode
from kogpt2_chat.errors import InvalidInput


def corrected_records(path: Path) -> dict[RecordPosition, str]:
    """Read corrected records from a file.

    Args:
        path: a file in the format that `show-quarantine` prints.

    Returns:
        The value of each record by its identity.

    Raises:
        InvalidInput: the file cannot be read, or a line has another format.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"corrected records {path} cannot be read: {error.strerror or error}") from error
    return read_corrected(decode(content, str(path)), str(path))
