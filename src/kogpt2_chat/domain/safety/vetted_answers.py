"""The vetted answers: what a player reads in place of the model's words where a question may speak of a crisis.

The texts and the help lines stand in a JSON file, ``safety_texts.json`` beside this module or one of a deployment's
own, with the day on which a person last checked that the lines are right. This module reads its content and chooses;
it knows neither where the file lies nor who asks.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal, get_args

from kogpt2_chat.domain.chat.prompt import MAX_ANSWER_CHARS
from kogpt2_chat.domain.safety.crisis import KINDS, Kind
from kogpt2_chat.errors import InvalidInput

Language = Literal["ko", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
ANY_BOT: Final = "default"
CHECK_AFTER: Final = timedelta(days=365)
"""Help lines move; after so long somebody has to look whether they are still right."""
_LINES: Final = "{lines}"
_HANGUL: Final = re.compile("[가-힣ㄱ-ㅣ\u1100-\u11ff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyTexts:
    """Vetted answers with the help lines of one country.

    Attributes:
        checked_on: when a person last checked them.
        country: whose lines they name.
        text_by_place: the whole answer by language, bot (or ``default``) and kind.
    """

    checked_on: date
    country: str
    text_by_place: Mapping[tuple[Language, str, Kind], str]

    def answer(self, question: str, bot: str, kind: Kind) -> str:
        """The answer to a question, in its language and in the bot's voice."""
        language: Language = "ko" if _HANGUL.search(question) else "en"
        own = self.text_by_place.get((language, bot, kind))
        return own if own is not None else self.text_by_place[language, ANY_BOT, kind]

    def warning(self, today: date) -> str | None:
        """What to do about texts that nobody has checked for a year; None while they are fresh."""
        age = today - self.checked_on
        if age <= CHECK_AFTER:
            return None
        return (
            f"the safety texts and their help lines ({self.country}) were last checked on {self.checked_on}, "
            f"{age.days} days ago: check each number, then set `checked_on` in the file of KOGPT2_SAFETY__TEXTS"
        )


def read_safety_texts(content: str, country: str, where: str) -> SafetyTexts:
    """Read the file's content.

    Args:
        content: JSON with ``checked_on``, ``lines`` by country, language and kind, ``texts`` by language, bot
            and kind; ``{lines}`` in a text is where the lines go.
        country: whose lines to name.
        where: the file's name, for the message.

    Returns:
        The texts.

    Raises:
        InvalidInput: something is missing, empty, too long for an answer, or names no line.
    """
    try:
        body = json.loads(content)
        checked_on = date.fromisoformat(body["checked_on"])
        lines = _known(body["lines"], country, "lines")
        texts = {
            (language, bot, kind): _whole(texts[kind], lines[language][kind])
            for language in LANGUAGES
            for bot, texts in body["texts"][language].items()
            for kind in KINDS
        }
    except KeyError as error:
        raise InvalidInput(f"safety texts {where}: {error} is missing; the shipped file shows the form") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"safety texts {where}: {error}; the shipped file shows the form") from error
    missing = [language for language in LANGUAGES if (language, ANY_BOT, KINDS[0]) not in texts]
    if missing:
        raise InvalidInput(f"safety texts {where}: no `{ANY_BOT}` for {', '.join(missing)}; it answers for new bots")
    return SafetyTexts(checked_on=checked_on, country=country, text_by_place=texts)


def _known(lines: Mapping[str, Any], country: str, what: str) -> Mapping[str, Any]:
    if country not in lines:
        raise ValueError(f"`{what}` has no country {country!r}, only {', '.join(lines)} (KOGPT2_SAFETY__COUNTRY)")
    found: Mapping[str, Any] = lines[country]
    return found


def _whole(text: str, lines: str) -> str:
    """The text with its lines; never cut later, since a cut could take the line away."""
    if _LINES not in text or not lines.strip():
        raise ValueError(f"a text without help lines: {text[:40]!r} needs {_LINES}")
    whole = text.replace(_LINES, lines)
    if len(whole) > MAX_ANSWER_CHARS:
        raise ValueError(f"a text of {len(whole)} characters with its lines, at most {MAX_ANSWER_CHARS}: {text[:40]!r}")
    return whole
