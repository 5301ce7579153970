"""Read the vetted answers from the file that the settings name."""

from kogpt2_chat.domain.safety.vetted_answers import SafetyTexts, read_safety_texts
from kogpt2_chat.domain.text.csv_text import decode
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings


def safety_texts(settings: Settings) -> SafetyTexts:
    """Read the vetted answers.

    Args:
        settings: names the file and the country of the help lines.

    Returns:
        The texts.

    Raises:
        InvalidInput: the file cannot be read or is incomplete. Workers do not answer without it.
    """
    path = settings.safety.texts
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"safety texts {path} cannot be read: {error} (KOGPT2_SAFETY__TEXTS)") from error
    return read_safety_texts(decode(content, f"safety texts {path}"), settings.safety.country, str(path))
