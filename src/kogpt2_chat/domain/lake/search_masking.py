"""Masking of a turn's row for the search index: personal data, names and handles.

The lake keeps the names that players tell a bot, because the answers depend on them. A search does not need them.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from kogpt2_chat.domain.chat.players import masked_player
from kogpt2_chat.domain.chat.turns import masked_fields
from kogpt2_chat.domain.text.json_records import object_or_empty
from kogpt2_chat.domain.text.masking import HANDLE_MASK, NAME_MASK, mask_pii

_SERVICES: Final = "카톡|카카오톡|인스타그램|인스타|텔레그램|텔레|라인|디스코드|디코|트위터|페이스북|페북|틱톡|스냅챗"
_SERVICE: Final = rf"(?<![가-힣])(?:[내제] ?)?(?:{_SERVICES})"  # 라인 must not match in 온라인
_WORD: Final = "[A-Za-z][A-Za-z0-9_.]{3,29}"
_IS: Final = "이야|야|이에요|예요|입니다|이라고|라고|이고|이다|임"
# A word after the name of a service is a handle if the text calls it an id or account, or has a colon (named), if it
# looks like a handle (shape), or if the text says that it is the player's own (own).
_HANDLE: Final = re.compile(
    r"(?<![\w.@])@[A-Za-z0-9_.]{3,30}"
    rf"|(?P<named>{_SERVICE} ?(?:(?:아이디|ID|id|계정)(?:는|은|이|가)? ?:?|(?:는|은|이|가)? ?:) ?){_WORD}"
    rf"|(?P<shape>{_SERVICE}(?:는|은|이|가)? ?)(?=[A-Za-z.]{{1,29}}[0-9_]){_WORD}"
    rf"|(?P<own>(?<![가-힣])[내제] ?(?:{_SERVICES})(?:는|은)? ?){_WORD}(?={_IS})"
)
_SURNAMES: Final = (
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구나진지엄"
    "채원천방공현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모"
)
_NO_NAME: Final = (
    "뭐|무엇|누구|어떻|어때|왜|몰라|모르|비밀|같|있|없|좋|다르|이쁘|웃기|아니|알[아려지고]|길[다고어지]"
    "|정말|진짜|아직|원래|사실|이제|너무"
)
# A word that ends with such a syllable is a predicate about a name and not a name: 같네, 유명해, 나왔어.
_PREDICATE: Final = "[네다요죠까냐어여해워져뻐돼줘봐와고게데걸]"
_NAME: Final = re.compile(
    rf"(?P<before>(?<![가-힣])(?:내|제|나의|저의|우리) ?(?:이름|본명|성함)(?:은|이)? ?)(?!{_NO_NAME})"
    rf"(?:[가-힣]{{2,4}}?(?={_IS})"
    rf"|(?:[{_SURNAMES}][가-힣]|[가-힣])(?!{_PREDICATE})[가-힣](?=\s{{0,3}}(?:[^가-힣\s]|$)))"
    rf"|(?P<me>(?:저는|나는|전|난) ?)[{_SURNAMES}][가-힣]{{2}}(?=입니다|이라고|이에요|예요|이야|라고 해)"
)
_TEXTS: Final = ("text", "answer", "sender", "session_id", "question_id")


def mask_for_search(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row of ``turns`` as it is sent to the search index.

    Args:
        row: a row of any release. Earlier releases had fewer masking rules.

    Returns:
        The row with its texts masked. If the answer changes, its tokens are left out: they spell it.
    """
    masked: dict[str, object] = {name: mask_names(str(row[name])) for name in _TEXTS if row.get(name) is not None}
    if row.get("player_id") is not None:
        masked["player_id"] = masked_player(str(row["player_id"]))
    if "answer" in masked and masked["answer"] != row["answer"] and row.get("answer_token_ids"):
        masked["answer_token_ids"] = []
    return {**row, **masked, **_masked_decoding(row), **_masked_extra(row)}


def conversation_of(masked: Mapping[str, object]) -> object:
    """Return which conversation a masked turn belongs to: its session, or its player if the client sent no session."""
    return masked.get("session_id") or masked.get("player_id")


def mask_names(text: str) -> str:
    """Return a text with personal data masked, and also the names and handles that players state as their own."""
    text = _HANDLE.sub(lambda found: _before(found) + HANDLE_MASK, mask_pii(text)[0])
    return _NAME.sub(lambda found: _before(found) + NAME_MASK, text)


def _before(found: re.Match[str]) -> str:
    """Return the matched words before the handle or name, which are kept."""
    return next((text for text in found.groups() if text is not None), "")


def _masked_decoding(row: Mapping[str, object]) -> dict[str, object]:
    """Return the column ``decoding`` with the known question masked, which may be another player's text."""
    decoding = object_or_empty(row.get("decoding"))
    nearest = decoding.get("nearest")
    if not isinstance(nearest, dict) or "question" not in nearest:
        return {}
    masked = {**nearest, "question": mask_names(str(nearest["question"]))}
    return {"decoding": _compact({**decoding, "nearest": masked})}


def _masked_extra(row: Mapping[str, object]) -> dict[str, object]:
    """Return the column ``extra`` with masked fields, or an empty dict if it is not a non-empty JSON object."""
    fields = object_or_empty(row.get("extra"))
    return {"extra": _compact(masked_fields(fields))} if fields else {}


def _compact(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
