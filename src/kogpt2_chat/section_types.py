"""Field types of the settings' sections: bounds, validation and normalisation.

Values are normalised once, when they are read: paths become absolute, and a login is split off its address.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.servers.addresses import HIGHEST_PORT, is_address, is_host_and_port, split_login

NEVER: Final = "never"
_CRON_FIELDS: Final = 5
"""croniter also accepts expressions with seconds and years, so the number of fields is checked separately."""
_A_WEEK_S: Final = 604_800
"""Longest timeout: in milliseconds it still fits the integers of Kafka's protocol and clients."""


class Section(BaseModel):
    """A section of the settings. It rejects unknown names and infinite numbers, and strips surrounding whitespace."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)


def _absolute(path: Path) -> Path:
    """Expand ``~`` and resolve a relative path against the current directory."""
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"{path.parts[0]} is not a home folder: write the full path") from error


def _absolute_text(text: str) -> str:
    return str(_absolute(Path(text))) if text else text


def _folder_or_name(text: str) -> str:
    """Make a folder's path absolute; leave a name (``auto``, ``small``, a hub id) unchanged."""
    is_path = text.startswith(("~", "./", "../"))
    return _absolute_text(text) if is_path or (text not in {"auto", "small"} and Path(text).is_dir()) else text


def _known_bot(name: str) -> str:
    if name not in BOT_IDS:
        by_lower = {bot.lower(): bot for bot in BOT_IDS}
        near = get_close_matches(name.lower(), by_lower, n=1, cutoff=0)
        hint = f"; did you mean {by_lower[near[0]]}?" if near else ""
        raise ValueError(f"no such bot, expected one of {', '.join(BOT_IDS)}{hint}")
    return name


def _http(text: str) -> str:
    """Check ``http://host:port``, or several of them (a pair of NameNodes) separated by semicolons."""
    _refuse_hidden_login(text)
    if not all(is_address(one, ("http", "https")) for one in text.split(";") if text):
        raise ValueError("expected an address like http://host:port")
    return text.rstrip("/")


def _refuse_hidden_login(address: str) -> None:
    """Reject an address that may still contain a login, since addresses are displayed."""
    if "@" in address:
        raise ValueError("expected @ only after a login; in a login, write / ? # as %2F, %3F, %23")


def _https(address: str) -> str:
    if not is_address(address, ("https",)):
        raise ValueError("expected an address like https://host/path")
    return address


def _http_with_port(text: str) -> str:
    _refuse_hidden_login(text)
    if text and not is_address(text, ("http", "https"), port_needed=True):
        raise ValueError("expected an address with its port, like http://host:9200")
    return text.rstrip("/")


def _cron(text: str) -> str:
    """Check a cron expression with Airflow's own parser: Airflow silently drops a DAG whose schedule is invalid."""
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
        raise ValueError("expected host:port, or several of them separated by commas")
    return text


def _proxy(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        network = None
    if network is None or not network.prefixlen:  # whoever is trusted can say to be anybody
        raise ValueError(
            "expected an IP address such as 10.1.2.3, or a network such as 10.1.0.0/16, but not all addresses"
        )
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
BotId = Annotated[str, AfterValidator(_known_bot)]
HttpAddress = Annotated[str, AfterValidator(_http)]
HttpsAddress = Annotated[str, AfterValidator(_https)]
HttpAddressWithPort = Annotated[str, AfterValidator(_http_with_port)]
Brokers = Annotated[str, AfterValidator(_brokers)]
Proxy = Annotated[str, AfterValidator(_proxy)]
NameNode = Annotated[str, AfterValidator(_name_node)]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[kmgtKMGT]$")]
SparkMaster = Annotated[
    str, Field(pattern=r"^(local(\[([1-9][0-9]*|\*)(,[1-9][0-9]*)?\])?|yarn|(spark|k8s)://[^\s/]\S*)?$")
]


class ServerSection(Section):
    """A section with a server's address. A login in the address moves to its own fields, since addresses are displayed.

    Attributes:
        login_fields: names of the fields for address, user and password.
    """

    login_fields: ClassVar[tuple[str, str, str]] = ("url", "username", "password")

    @model_validator(mode="before")
    @classmethod
    def _move_login(cls, given: Any) -> Any:
        return _split_login(given, *cls.login_fields)


def _split_login(given: Any, address: str, user: str, password: str) -> Any:
    """Move the login in a section's address to the section's own login fields.

    Args:
        given: the section's raw values by field.
        address: name of the address field.
        user: name of the user field; if a different user is set, the login in the address is dropped.
        password: name of the password field; a password that is set explicitly wins.

    Returns:
        The values, unchanged if the address contains no login.
    """
    if not isinstance(given, Mapping) or not isinstance(given.get(address), str):
        return given
    apart = [split_login(one.strip()) for one in given[address].split(";")]
    login = next((one for one in apart if one.user is not None), None)
    if login is None:
        return given
    own = {name: value for name, value in given.items() if value not in ("", None, SecretStr(""))}
    taken: dict[str, Any] = {}
    if own.get(user, login.user) == login.user:
        taken = {user: login.user} | ({} if login.password is None else {password: SecretStr(login.password)})
    return taken | own | {address: ";".join(one.address for one in apart)}
