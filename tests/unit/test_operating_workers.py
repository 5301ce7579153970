"""The systemd units and `docs/workers.md` agree with the code."""

import configparser
import importlib.util
import json
import re
import shlex

import pytest
import yaml

from indexer.__main__ import END_S
from indexer.__main__ import SETTINGS_WRONG as INDEXER_SETTINGS_WRONG
from kogpt2_chat.domain.rollout.states import SlotReport
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import CHECKOUT, Settings, load_settings
from serving.__main__ import FENCED
from serving.app import FINISH_S
from serving.metrics import Metrics
from world.gateway.__main__ import SETTINGS_WRONG
from world.gateway.from_settings import gateway_settings

SYSTEMD = CHECKOUT / "deploy" / "systemd"
NAMES = ("worker", "gateway", "indexer")
PAGE = (CHECKOUT / "docs" / "workers.md").read_text(encoding="utf-8")
RULES = next(
    block for block in map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)) if "groups" in block
)
# A function keeps the labels of its argument. The first aggregation of an expression is the outermost one.
AGGREGATION = re.compile(r"(?:histogram_quantile\([\d.]+, )?(?:sum|count|max|min)(?: by \((?P<by>[^)]*)\))? ?\(")


class Unit:
    """The unit file of a program. It may contain a directive several times."""

    def __init__(self, name: str = "worker") -> None:
        path = SYSTEMD / f"kogpt2-{name}{'' if name == 'indexer' else '@'}.service"
        self.lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = str
        parser.read_string("\n".join(self.lines))
        self.service = dict(parser["Service"])
        assert parser.sections() == ["Unit", "Service", "Install"]

    def environment(self) -> dict[str, str]:
        values = [line.removeprefix("Environment=") for line in self.lines if line.startswith("Environment=")]
        return dict(pair.split("=", 1) for text in values for pair in shlex.split(text))


def example(name: str = "worker") -> dict[str, str]:
    """Return the variables of an example. Like systemd, without the quotes around a value."""
    rows = [line for line in (SYSTEMD / f"{name}.env.example").read_text().splitlines() if line and line[0] != "#"]
    return {key: "".join(shlex.split(value)) for key, value in (row.split("=", 1) for row in rows)}


def assert_is_setting(name: str) -> None:
    tree: object = Settings
    for part in name.removeprefix("KOGPT2_").lower().split("__"):
        assert part in getattr(tree, "model_fields", {}), f"{name}: no setting {part}"
        tree = tree.model_fields[part].annotation


@pytest.mark.parametrize(
    ("name", "number"), [("worker", "KOGPT2_SERVING__ORDINAL"), ("gateway", "KOGPT2_WORLD__ORDINAL")]
)
def test_the_unit_starts_the_program_with_the_instance_as_its_number(name, number):
    """The command line sets the number. Two programs would share one if an EnvironmentFile overrode Environment=."""
    unit = Unit(name)
    command = shlex.split(unit.service["ExecStart"])
    assert command[:2] == ["/usr/bin/env", f"{number}=%i"]
    assert command[2] == f"{unit.service['WorkingDirectory']}/.venv/bin/python"
    assert command[3] == "-m"
    assert importlib.util.find_spec(f"{command[4]}.__main__") is not None
    assert number not in example(name) | unit.environment()
    assert unit.service["EnvironmentFile"].endswith(f"/{name}.env")


@pytest.mark.parametrize("unit", NAMES)
def test_every_setting_of_the_unit_and_its_example_exists(unit):
    """A program does not start with a misspelt setting, and another machine must set its home and the servers."""
    names = [name for name in [*example(unit), *Unit(unit).environment()] if name.startswith("KOGPT2_")]
    server = "KOGPT2_ELASTIC__URL" if unit == "indexer" else "KOGPT2_MLFLOW__TRACKING_URI"
    assert {"KOGPT2_HOME", "KOGPT2_KAFKA__BOOTSTRAP", server} <= set(names)
    for name in names:
        assert_is_setting(name)


def test_a_gateway_runs_with_the_settings_of_the_unit_and_its_example(monkeypatch):
    """The second gateway has the second address and other rooms. A key must be set: the placeholder is refused."""
    unit = Unit("gateway")
    for name, value in (example("gateway") | unit.environment() | {"KOGPT2_WORLD__ORDINAL": "2"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KOGPT2_ENV_FILE", "")
    with pytest.raises(InvalidInput, match="KOGPT2_WORLD__KEYS"):
        load_settings()
    monkeypatch.setenv("KOGPT2_WORLD__KEYS", json.dumps(["k" * 32]))
    found = gateway_settings(load_settings())
    assert (found.name, found.url) == ("gateway-2", "https://world.example:8443")
    assert found.others == ("https://world.example",)
    assert found.first_room > found.rooms
    assert unit.service["RestartPreventExitStatus"] == str(SETTINGS_WRONG)


def test_the_settings_of_the_unit_and_its_example_can_be_loaded(monkeypatch):
    """The ordinal is that of the instance, and the folders are those that systemd creates."""
    for name, value in (example() | Unit().environment() | {"KOGPT2_SERVING__ORDINAL": "12"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KOGPT2_ENV_FILE", "")
    settings = load_settings()
    assert (settings.serving.ordinal, settings.serving.threads) == (12, 1)
    assert str(settings.home).endswith(Unit().service["StateDirectory"])
    assert str(settings.cache_dir).endswith(Unit().service["CacheDirectory"])


def test_a_worker_is_restarted_unless_its_settings_are_wrong_or_it_was_fenced():
    """A stopping worker ends before systemd kills it. A watchdog is set only if the worker notifies systemd."""
    service = Unit().service
    assert service["Restart"] == "always"
    assert {int(code) for code in service["RestartPreventExitStatus"].split()} == {2, FENCED}
    assert int(service["TimeoutStopSec"]) > 10 > FINISH_S
    assert service["KillSignal"] == "SIGTERM"
    sources = "".join(path.read_text() for path in (CHECKOUT / "serving").glob("*.py"))
    assert ("WatchdogSec" in service) == ("sd_notify" in sources)


def test_the_indexer_is_restarted_unless_its_settings_are_wrong():
    """Systemd kills it only after it has ended by itself."""
    service = Unit("indexer").service
    assert shlex.split(service["ExecStart"])[1:] == ["-m", "indexer"]
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("always", str(INDEXER_SETTINGS_WRONG))
    assert int(service["TimeoutStopSec"]) > END_S + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_unit_is_hardened(name):
    """The program reads text of players, so it gets only the permissions that it needs."""
    service = Unit(name).service
    for permission in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictSUIDSGID"):
        assert service[permission] == "yes"
    assert (service["ProtectSystem"], service["CapabilityBoundingSet"]) == ("strict", "")
    assert service["User"] not in ("", "root")
    assert "MemoryMax" in service
    assert "MemoryDenyWriteExecute" not in service


@pytest.mark.parametrize("name", sorted(set(re.findall(r"KOGPT2_[A-Z_]+", PAGE))))
def test_every_setting_that_the_page_names_exists(name):
    """Readers copy the names."""
    assert_is_setting(name)


def families() -> dict[str, str]:
    """Return the type of each metric by name, as a worker reports it to Prometheus."""
    metrics = Metrics(slots=lambda: [SlotReport(bot="ChatbotA", version=1, state="ready", detail="")])
    metrics.lag = {0: 1}
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", metrics.page().decode(), re.MULTILINE))


def test_the_page_and_the_worker_have_the_same_metrics():
    """The table lists all metrics of the project, and the alerts use only metrics that exist."""
    type_by_name = families()
    ours = {name for name in type_by_name if name.startswith("kogpt2_") and not name.endswith("_created")}
    table = PAGE.split("## Metrics")[1].split("```yaml")[0]
    assert set(re.findall(r"`(kogpt2_\w+)`", table)) == ours
    used = {name for rule in all_rules() for name in re.findall(r"(?:kogpt2|process)_\w+", rule["expr"])}
    for name in used:
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        assert name in type_by_name or type_by_name.get(base) == "histogram", name


def test_every_alert_uses_a_metric():
    """An alert without a metric would be raised always or never."""
    for rule in all_rules():
        assert re.search(r"(?:kogpt2|process)_\w+|\bup\b", rule["expr"]), rule["alert"]


def test_every_alert_has_a_severity_and_a_summary_and_a_unique_name():
    """The severity is one that is routed, and the summary contains more than values of labels."""
    for rule in all_rules():
        assert rule["labels"]["severity"] in {"page", "warn"}
        text = re.sub(r"\{\{.*?\}\}", "", rule["annotations"]["summary"])
        assert re.search(r"[a-z]", text), rule["alert"]
    names = [rule["alert"] for rule in all_rules()]
    assert sorted(set(names)) == sorted(names)


def test_a_summary_names_only_labels_that_its_alert_has():
    """An aggregation keeps only the labels in `by (…)`. Any other label would be empty in the message."""
    for rule in all_rules():
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        aggregation = AGGREGATION.match(rule["expr"])
        kept = set(re.findall(r"\w+", aggregation["by"] or "")) if aggregation else {"instance", "job"}
        assert used <= kept, rule["alert"]


def test_the_page_names_only_alerts_that_exist():
    """An operator who gets an alert looks for its name on the page."""
    assert set(re.findall(r"\bKogpt\w+", PAGE)) == {rule["alert"] for rule in all_rules()}


def all_rules() -> list[dict]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]
