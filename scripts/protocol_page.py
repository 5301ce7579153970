"""docs/world-protocol.md: what browsers and the gateways of the world say to each other, from the types of the code."""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, Final, get_args

import msgspec

from kogpt2_chat.settings import CHECKOUT
from world.gateway.door import COOKIE, SignIn
from world.gateway.protocol import close_codes, commands, events, frames, views
from world.gateway.refused import Reason

HEAD = f"""\
# The protocol of the virtual world

What a client of the world 별마루 and its gateway say to each other: for authors of other clients, and for changes of
this one. A client that only asks bots needs no gateway: [Kafka](unity.md) is enough. The tables are made from the types
in `world/gateway/protocol`. A small client in Python: `src/kogpt2_chat/client/world_player.py`.

## From the door to the world

1. `GET /session` answers `{{"guest": …, "portals": […]}}`. `guest` is null for a new browser.
2. `POST /session` with JSON (table [SignIn](#signin)) answers `{{"guest": {{…}}}}` and sets the cookie `{COOKIE}`,
   the player's signed identity for 180 days. The same request changes name and consent later. `store` and `learn` are
   the player's consent: ask for it, and never preselect it. `DELETE /session` forgets the identity.
3. `WS /world` with that cookie. A page's `Origin` must be the gateway's own or one of the settings; programs send none.
4. The client sends the command [`enter`](#enter), and gets the event [`welcome`](#welcome), or [`refusal`](#refusal)
   and the end of the connection.
5. Text messages are commands and events: JSON objects with the name in `t`. Binary messages are [frames](#frames).

Further pages: `GET /places` (where things are, in metres), `GET /learned/BOT` (what a bot has learned from players),
`GET /health`.

Rules for clients:

- **Show texts as text.** Names, lines and answers are what others wrote: never insert them as HTML.
- **Ids.** A client chooses the `id` of its lines, whispers and questions. Sent again with the same id, they count once,
  so send again what was not confirmed before the connection was lost.
- **Coming back.** Every event has a number `n`. A seat is held for 30 s: connect again and send the last number as
  `last`, with what `enter` wants from the last `welcome`, and the missed events follow without a `welcome`. Otherwise a
  new `welcome` begins a new count. Send the ids of questions without an answer as `waiting`: their answers still come,
  also after a restart of the gateway.
- **Lines and questions** have at most {commands.MAX_CHAT_CHARS} characters once invisible ones are removed.
- **A question ends once**, within 15 s: with `answered`, `unanswered` or `refusal`. An answer whose `source` is
  `safety` may still follow `unanswered`. Show it then too, and to nobody else, keep it until the player closes it, and
  let phone numbers be dialed.
- **Unknown** events and fields are to be ignored: later versions may add them. Events leave out fields with their
  default value.
- **Send `ping`** every 15 s, so that proxies keep the connection.
- If a refusal has `wait_s`, wait that long before the next try.
"""


def protocol_page(generated: str) -> str:
    """Return the page.

    Args:
        generated: the comment that says that the page is generated.
    """
    lines = [
        generated,
        HEAD,
        "## Commands",
        "",
        f"From the client; at most {commands.MAX_FRAME_BYTES:,} bytes each.",
        "",
    ]
    lines += _sections(get_args(commands.AnyCommand))
    lines += ["## Events", "", "From the gateway; each also has its number `n`.", ""]
    lines += _sections(get_args(events.AnyEvent))
    lines += ["## Parts", "", "What commands, events and requests are made of.", ""]
    lines += _sections((views.Look, views.PlayerView, views.BotView, views.RoomView, SignIn))
    lines += ["## Refusals", "", "The reasons, with what this client shows:", "", *_reasons(), ""]
    lines += ["## The end of a connection", "", "| code | name | meaning |", "|---|---|---|", *_codes(close_codes), ""]
    lines += ["## Frames", "", _markdown(frames.__doc__)]
    return "\n".join(lines) + "\n"


def _sections(types: Iterable[type[msgspec.Struct]]) -> Iterator[str]:
    for one in types:
        summary, text_by_field = _documented(one)
        fields = msgspec.inspect.type_info(one).fields  # type: ignore[union-attr]
        yield from (f"### {_name(one)}", "", summary, "")
        if fields:
            yield from ("| field | type | default | meaning |", "|---|---|---|---|")
        for field in fields:
            text = text_by_field.get(field.name, "").replace("|", "\\|")
            yield f"| `{field.encode_name}` | {_type(field.type)} | {_default(field)} | {text} |"
        if fields:
            yield ""


def _name(one: type[msgspec.Struct]) -> str:
    return str(one.__struct_config__.tag or one.__name__)


def _documented(one: type[msgspec.Struct]) -> tuple[str, dict[str, str]]:
    """Return the text of a docstring, and the meaning of each attribute that it lists."""
    text, _, attributes = _markdown(one.__doc__).partition("Attributes:\n")
    found = re.findall(r"^ {4}(\w+): ((?:.|\n {8})+)", attributes, re.MULTILINE)
    return text.strip(), {name: " ".join(meaning.split()) for name, meaning in found}


def _markdown(docstring: str | None) -> str:
    return inspect.cleandoc(docstring or "").replace("``", "`").replace("::\n", ":\n").replace("None", "null")


def _type(kind: Any) -> str:
    """Return the name of a type as ``msgspec.inspect`` describes it."""
    return _TEXT_BY_KIND[type(kind).__name__](kind)


def _literal(kind: Any) -> str:
    if set(kind.values) == set(get_args(Reason)):
        return "a [reason](#refusals)"
    return " or ".join(f"`{value}`" for value in sorted(kind.values, key=str))


def _list(kind: Any) -> str:
    most = "" if kind.max_length is None else f"at most {kind.max_length}: "
    return f"list of {most}{_type(kind.item_type)}"


def _text(kind: Any) -> str:
    size = "" if kind.max_length is None else f"{_range(kind.min_length, kind.max_length)} characters"
    form = "" if kind.pattern is None else ", `" + kind.pattern.replace("|", "\\|") + "`"
    return f"text{size}{form}"


def _range(least: float | None, most: float | None) -> str:
    if most is None:
        return "" if least is None else f" from {least}"
    return f" up to {most}" if least is None else f", {least} to {most}"


_TEXT_BY_KIND: Final[dict[str, Callable[[Any], str]]] = {
    "BoolType": lambda _: "true or false",
    "FloatType": lambda _: "number",
    "IntType": lambda kind: f"whole number{_range(kind.ge, kind.le)}",
    "ListType": _list,
    "LiteralType": _literal,
    "NoneType": lambda _: "null",
    "StrType": _text,
    "StructType": lambda kind: f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})",
    "UnionType": lambda kind: " or ".join(_type(one) for one in kind.types),
}


def _default(field: Any) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, msgspec.Struct):
        return "all 0"
    return f"`{msgspec.json.encode(value).decode()}`"


def _reasons() -> Iterator[str]:
    texts = (CHECKOUT / "world" / "client" / "src" / "i18n" / "en.ts").read_text(encoding="utf-8")
    shown = dict(re.findall(r'^\s*"reason\.(\w+)": "(.*)",$', texts, re.MULTILINE))
    return (f"- `{reason}`: {shown[reason]}" for reason in get_args(Reason))


def _codes(module: ModuleType) -> Iterator[str]:
    """Yield a row for each constant, with the text below it."""
    body = ast.parse(inspect.getsource(module)).body
    for found, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(found, ast.AnnAssign) and isinstance(found.target, ast.Name):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            text = _markdown(str(below.value.value)) if is_text else ""  # type: ignore[union-attr]
            yield f"| {getattr(module, found.target.id)} | `{found.target.id}` | {' '.join(text.split())} |"
