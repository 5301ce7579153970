"""What the fields of the settings' sections are made of: their bounds, and what is made of a text once for all.

A value is the same wherever it is read: a path is absolute, a login stands beside its address.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.servers.addresses import HIGHEST_PORT, is_address, is_host_and_port, login_apart

NEVER: Final = "never"
_CRON_FIELDS: Final = 5
"""Its reader takes seconds and years too, at either end."""
_A_WEEK_S: Final = 604_800
"""The longest that anything may wait: in milliseconds it fits into what Kafka's protocol and clients count with."""


class Section(BaseModel):
    """A section: unknown names are refused, space around a text is none of it, and numbers are finite."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)


def _absolute(path: Path) -> Path:
    """As the one who set it meant it: from the home folder, or from the folder that the command was started in."""
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"{path.parts[0]} names no home folder: write the whole path") from error


def _absolute_text(text: str) -> str:
    return str(_absolute(Path(text))) if text else text


def _folder_or_name(text: str) -> str:
    """A folder's path is made absolute; a name (``auto``, a hub's id) stays."""
    is_path = text.startswith(("~", "./", "../"))
    return _absolute_text(text) if is_path or (text not in {"auto", "small"} and Path(text).is_dir()) else text


def _in_roster(name: str) -> str:
    if name not in BOT_IDS:
        by_lower = {bot.lower(): bot for bot in BOT_IDS}
        near = get_close_matches(name.lower(), by_lower, n=1, cutoff=0)
        hint = f"; did you mean {by_lower[near[0]]}?" if near else ""
        raise ValueError(f"no such bot, there are {', '.join(BOT_IDS)}{hint}")
    return name


def _http(text: str) -> str:
    """``http://host:port``, several of them (a pair of NameNodes) with semicolons between."""
    _refuse_hidden_login(text)
    if not all(is_address(one, ("http", "https")) for one in text.split(";") if text):
        raise ValueError("expected an address like http://host:port")
    return text.rstrip("/")


def _refuse_hidden_login(address: str) -> None:
    """Refuse an address that may still hold a login after its own was taken out: it would be kept, and shown."""
    if "@" in address:
        raise ValueError("expected no @ but that of a login; in a login, write / ? # as %2F, %3F, %23")


def _http_with_port(text: str) -> str:
    _refuse_hidden_login(text)
    if text and not is_address(text, ("http", "https"), port_needed=True):
        raise ValueError("expected an address with its port, like http://host:9200")
    return text.rstrip("/")


def _cron(text: str) -> str:
    """A time as Airflow's own reader takes it: one that it cannot follow would let the DAG vanish without a word."""
    if text == NEVER:
        return text
    from croniter import CroniterError, croniter

    fault = f"found {len(text.split())}"
    if len(text.split()) == _CRON_FIELDS or text.startswith("@"):
        try:
            croniter(text).get_next()
        except CroniterError as error:
            fault = str(error)
        else:
            return text
    raise ValueError(
        f"expected five fields (minute, hour, day, month, weekday) such as `0 4 * * *`, @daily or {NEVER}: {fault}"
    )


def _brokers(text: str) -> str:
    if not all(is_host_and_port(one.strip()) for one in text.split(",") if text):
        raise ValueError("expected host:port, several of them with commas between")
    return text


def _name_node(text: str) -> str:
    if text and ("@" in text or not is_address(text, ("hdfs", "viewfs"))):
        raise ValueError("expected an address like hdfs://host:port, without a login")
    return text.rstrip("/")


Port = Annotated[int, Field(ge=1, le=HIGHEST_PORT)]
Cron = Annotated[str, AfterValidator(_cron)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=_A_WEEK_S)]
LocalPath = Annotated[Path, AfterValidator(_absolute)]
LocalFile = Annotated[str, AfterValidator(_absolute_text)]
FolderOrName = Annotated[str, AfterValidator(_folder_or_name)]
BotId = Annotated[str, AfterValidator(_in_roster)]
HttpAddress = Annotated[str, AfterValidator(_http)]
HttpAddressWithPort = Annotated[str, AfterValidator(_http_with_port)]
Brokers = Annotated[str, AfterValidator(_brokers)]
NameNode = Annotated[str, AfterValidator(_name_node)]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[kmgtKMGT]$")]
SparkMaster = Annotated[
    str, Field(pattern=r"^(local(\[([1-9][0-9]*|\*)(,[1-9][0-9]*)?\])?|yarn|(spark|k8s)://[^\s/]\S*)?$")
]


class Server(Section):
    """A section with an address. A login that stands in it is kept in the login's own fields: addresses are shown.

    Attributes:
        login_fields: names of the address, of the user and of the password.
    """

    login_fields: ClassVar[tuple[str, str, str]] = ("url", "username", "password")

    @model_validator(mode="before")
    @classmethod
    def _take_login(cls, given: Any) -> Any:
        return _login_taken(given, *cls.login_fields)


def _login_taken(given: Any, address: str, user: str, password: str) -> Any:
    """What a section was given, with the login that stood in its address in the login's own fields.

    Args:
        given: the section's values by field, as they came.
        address: name of the field with the address.
        user: name of the user's field; where another one was given, the address's login is dropped.
        password: name of the password's field; one that was given wins.

    Returns:
        The same values, or others where there was a login.
    """
    if not isinstance(given, Mapping) or not isinstance(given.get(address), str):
        return given
    apart = [login_apart(one.strip()) for one in given[address].split(";")]
    login = next((one for one in apart if one.user is not None), None)
    if login is None:
        return given
    own = {name: value for name, value in given.items() if value not in ("", None, SecretStr(""))}
    taken: dict[str, Any] = {}
    if own.get(user, login.user) == login.user:
        taken = {user: login.user} | ({} if login.password is None else {password: SecretStr(login.password)})
    return taken | own | {address: ";".join(one.address for one in apart)}
