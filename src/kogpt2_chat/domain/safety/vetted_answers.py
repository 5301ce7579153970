"""Vetted answers: the texts that replace the model's answer if a question may be about a crisis.

The texts and the help lines are in a JSON file: ``safety_texts.json`` in this folder, or a file of the deployment. The
file also has the date on which a person last checked the help lines. This module parses the content of the file and
selects an answer; it does not open the file.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal, get_args

from kogpt2_chat.domain.chat.prompt import MAX_SERVED_ANSWER_CHARS
from kogpt2_chat.domain.safety.crisis import KINDS, CrisisKind
from kogpt2_chat.errors import InvalidInput

Language = Literal["ko", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
ANY_BOT: Final = "default"
CHECK_AFTER: Final = timedelta(days=365)
"""Help lines change, so a person has to check them at least once a year."""
_LINES: Final = "{lines}"
_HANGUL: Final = re.compile("[가-힣ㄱ-ㅣ\u1100-\u11ff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyTexts:
    """The vetted answers with the help lines of one country.

    Attributes:
        checked_on: when a person last checked the help lines.
        country: the country of the help lines.
        text_by_key: the complete answer by language, bot (or ``default``) and kind.
    """

    checked_on: date
    country: str
    text_by_key: Mapping[tuple[Language, str, CrisisKind], str]

    def answer(self, question: str, bot: str, kind: CrisisKind) -> str:
        """Return the answer to a question, in the language of the question and in the voice of the bot."""
        language: Language = "ko" if _HANGUL.search(question) else "en"
        own = self.text_by_key.get((language, bot, kind))
        return own if own is not None else self.text_by_key[language, ANY_BOT, kind]

    def warning(self, today: date) -> str | None:
        """Return a warning if the last check is more than a year ago; otherwise None."""
        age = today - self.checked_on
        if age <= CHECK_AFTER:
            return None
        return (
            f"the safety texts and their help lines ({self.country}) were last checked on {self.checked_on}, "
            f"{age.days} days ago: check each number, then set `checked_on` in the file that KOGPT2_SAFETY__TEXTS names"
        )


def read_safety_texts(content: str, country: str, where: str) -> SafetyTexts:
    """Parse the content of the file.

    Args:
        content: JSON with ``checked_on``, with ``lines`` by country, language and kind, and with ``texts`` by
            language, bot and kind. ``{lines}`` in a text is replaced by the help lines.
        country: the country whose help lines are used.
        where: name of the file for error messages.

    Returns:
        The texts.

    Raises:
        InvalidInput: a part is missing or has a wrong type, or a text has no help lines or is too long.
    """
    try:
        body = json.loads(content)
        checked_on = date.fromisoformat(body["checked_on"])
        lines = _known(body["lines"], country, "lines")
        texts = {
            (language, bot, kind): _with_lines(texts[kind], lines[language][kind])
            for language in LANGUAGES
            for bot, texts in body["texts"][language].items()
            for kind in KINDS
        }
    except KeyError as error:
        raise InvalidInput(f"safety texts {where}: {error} is missing; the default file shows the format") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"safety texts {where}: {error}; the default file shows the format") from error
    missing = [language for language in LANGUAGES if (language, ANY_BOT, KINDS[0]) not in texts]
    if missing:
        raise InvalidInput(
            f"safety texts {where}: `{ANY_BOT}` is missing for {', '.join(missing)}; bots without texts need it"
        )
    return SafetyTexts(checked_on=checked_on, country=country, text_by_key=texts)


def _known(lines: Mapping[str, Any], country: str, what: str) -> Mapping[str, Any]:
    if country not in lines:
        raise ValueError(
            f"`{what}` has no country {country!r}; expected {' or '.join(lines)} in KOGPT2_SAFETY__COUNTRY"
        )
    found: Mapping[str, Any] = lines[country]
    return found


def _with_lines(text: str, lines: str) -> str:
    """Insert the help lines; check the length here, since a later cut could remove them."""
    if _LINES not in text or not lines.strip():
        raise ValueError(f"a text without help lines: {text[:40]!r}; expected {_LINES} in it, and lines for it")
    whole = text.replace(_LINES, lines)
    if len(whole) > MAX_SERVED_ANSWER_CHARS:
        raise ValueError(
            f"a text has {len(whole)} characters with help lines, expected at most {MAX_SERVED_ANSWER_CHARS}: "
            f"{text[:40]!r}"
        )
    return whole
