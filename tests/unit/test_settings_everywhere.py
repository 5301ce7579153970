"""Every program of the stack has the settings of the command that started it, whatever their source."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import CHECKOUT, Settings, load_settings
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import MARK, Program, clean_environment, program_environment, start_script
from kogpt2_chat.stack.programs import all_programs
from kogpt2_chat.variables import leaves_of

JAVA = Java(home=Path("/opt/java"), version=17)
LEAVES = leaves_of(Settings)
SECRET = "s3cret-word"
# Settings that can contradict each other; test_settings.py covers them.
PAIRED = {"KOGPT2_KAFKA__SECURITY_PROTOCOL", "KOGPT2_KAFKA__SASL_MECHANISM", "KOGPT2_MODEL__SMALL_WIDTH",
          "KOGPT2_MODEL__SMALL_HEADS", "KOGPT2_SERVING__WATCHDOG_S", "KOGPT2_KAFKA__REQUEST_TIMEOUT_S"}  # fmt: skip
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"], exclude_characters="$"), min_size=1)
FORMS = {
    "KOGPT2_WORLD__PORTALS": ['[{"ko": "극장", "en": "Theater", "url": "https://theater.example/별"}]', "[]"],
    "KOGPT2_WORLD__ORIGINS": ['["https://world.example"]'],
    "KOGPT2_WORLD__TRUSTED_PROXIES": ['["127.0.0.1", "10.1.0.0/16", "2001:db8::/64"]', "[]"],
    "KOGPT2_WORLD__ADDRESSES": ['["http://one.example:8000", "http://two.example:8000"]'],
    "KOGPT2_KAFKA__BOOTSTRAP": ["kafka:9092", "a:1,b:2", "[::1]:9092"],
    "KOGPT2_HDFS__ROOT": ["/Chatbot", "/a/b-c_d.e,f/"],
    "KOGPT2_HDFS__URI": ["hdfs://namenode:9000", "hdfs://lake"],
    "KOGPT2_HDFS__WEBHDFS": ["http://a:9870;http://b:9870", "https://u%40x:p%2Fw@gate/"],
    "KOGPT2_ELASTIC__URL": ["http://elastic:9200/", "https://u:p@elastic:443"],
    "KOGPT2_MLFLOW__TRACKING_URI": ["http://mlflow:5000", "http://ops:s3cret@mlflow:5000"],
    "KOGPT2_AIRFLOW__ALERT_WEBHOOK": ["https://hooks:443/T1/B2/x", "http://hook"],
    "KOGPT2_AIRFLOW__URL": ["http://airflow:8080/a/b", "http://u:p:w@airflow"],
    "KOGPT2_OPS__KEY": ["!~" * 16],
    "KOGPT2_OPS__MLFLOW_URL": ["https://mlflow.example/별"],
    "KOGPT2_OPS__INDEXER_URL": ["http://indexer:9120"],
    "KOGPT2_OPS__AIRFLOW_URL": ["http://airflow.example:8080"],
    "KOGPT2_LEARNING__RETRAIN_CRON": ["30 3 * * mon-fri", "@daily"],
    "KOGPT2_SPARK__MASTER": ["local[*]", "spark://a:7077,b:7077"],
    "KOGPT2_SPARK__DRIVER_MEMORY": ["900M", "2g"],
}


def info_of(name: str) -> Any:
    tree: Any = Settings
    for part in LEAVES[name].path:
        info = tree.model_fields[part]
        tree = info.annotation
    return info


def bounds(info: Any) -> tuple[float, float]:
    found = {
        key: getattr(rule, key) for rule in info.metadata for key in ("ge", "gt", "le", "lt") if hasattr(rule, key)
    }
    low = found.get("ge", found.get("gt", -1000) + (1 if info.annotation is int else 0.001))
    return low, found.get("le", found.get("lt", 5000) - (0 if info.annotation is int else 0.001))


def plain_kinds(kind: Any) -> list[Any]:
    """Return the type and, if it is a union, its members; all without their bounds."""
    return [get_args(one)[0] if get_origin(one) is Annotated else one for one in (kind, *get_args(kind))]


def lists_of_keys() -> st.SearchStrategy[str]:
    return st.sampled_from([json.dumps(["!~" * 16]), json.dumps(["1" * 32, "\"'" * 20])])


def valid_texts(name: str) -> st.SearchStrategy[str]:
    """Return valid texts for the setting."""
    info, kind = info_of(name), LEAVES[name].annotation
    if name in FORMS:
        return st.sampled_from(FORMS[name])
    if get_origin(kind) is Literal:
        return st.sampled_from([one for one in get_args(kind) if one])
    if get_origin(kind) is dict:
        values = st.sampled_from(["model", "notice"]) if name.endswith("UNCERTAIN") else st.sampled_from(
            [{}, {"temperature": 0.9}, {"top_k": 3, "temperature": 1}]
        )  # fmt: skip
        return st.dictionaries(st.sampled_from(BOT_IDS), values).map(json.dumps)
    if get_origin(kind) is tuple:
        return (
            lists_of_keys() if SecretStr in get_args(kind) else st.tuples(*[st.integers(1, 12000)] * 2).map(json.dumps)
        )
    if kind is bool:
        return st.sampled_from(["true", "0", "Yes", "off"])
    if kind is int:
        low, high = bounds(info)
        return st.integers(int(low), int(min(high, 12000))).map(str)
    if kind is float:
        return st.floats(*bounds(info)).map(repr)
    if SecretStr in plain_kinds(kind):
        return WORDS
    if Path in plain_kinds(kind):
        return st.sampled_from(["~/집", "../x y", "/tmp/별 #1%,;'\"", " 밖"])
    return WORDS.filter(lambda text: text.strip() and text.strip()[0] not in "'\"`“‘")


INVALID = {
    bool: ["perhaps", "2"], int: ["many", "1.5", "1e3", "0x10", "-99999999"], float: ["nan", "inf", "빠름", "1e999"],
    str: ["'x'", '"x"', "“x”", "a\nb"], SecretStr: [f"{SECRET}\n"], Path: ["~no-such-user-here/x", '"/x"', "a\tb"],
}  # fmt: skip


def invalid_texts(name: str) -> st.SearchStrategy[str]:
    """Return invalid texts for the setting."""
    kind = LEAVES[name].annotation
    if name in FORMS:
        return st.sampled_from(
            [f"ftp://u:{SECRET}@host:5", f"u:{SECRET}/w@h", "a b", "http://h:99999", f"x://u:{SECRET} '@h"]
        )
    if get_origin(kind) is Literal:
        return st.sampled_from(["nope", "'PLAINTEXT'"])
    if get_origin(kind) is dict:
        return st.sampled_from(["{bad", "[]", "3", "'{}'", '{"ChatbotZ": {}}', '{"ChatbotA": 3}', "null", "[" * 9999])
    if get_origin(kind) is tuple:
        return st.sampled_from(["9866,9876", "[1]", "[0, 5]", '["a", "b"]', "'[1, 2]'", "[1, 2, 3]", "NaN"])
    return st.sampled_from(next(INVALID[one] for one in plain_kinds(kind) if one in INVALID))


@st.composite
def choices(draw: st.DrawFn, texts: Any, names: list[str]) -> dict[str, tuple[str, str]]:
    """Draw texts by variable, each with its source: the environment, `.env` or its section's JSON."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=8, unique=True))
    sources = ("environment", "file", "section")
    return {
        name: (draw(texts(name)), draw(st.sampled_from(sources if len(LEAVES[name].path) > 1 else sources[:2])))
        for name in chosen
    }


@contextmanager
def isolated(folder: Path, variables: Mapping[str, str], env_file: str | None = None):
    """Change to a folder with this `.env`, and to an environment that has only these variables."""
    folder.mkdir(exist_ok=True)
    (folder / ".env").write_text(env_file or "", encoding="utf-8", newline="")
    before = Path.cwd()
    os.chdir(folder)
    try:
        with patch.dict(os.environ, {"HOME": str(folder.parent), "PATH": os.defpath, **variables}, clear=True):
            yield
    finally:
        os.chdir(before)


def sources_of(chosen: Mapping[str, tuple[str, str]]) -> tuple[dict[str, str], str]:
    """Return the environment and the text of `.env` for the chosen texts."""
    environment = {name: text for name, (text, source) in chosen.items() if source == "environment"}
    sections: dict[str, dict[str, object]] = {}
    for name, (text, source) in chosen.items():
        if source == "section":
            section, field = LEAVES[name].path
            try:
                value = json.loads(text) if LEAVES[name].is_json else text
            except (ValueError, RecursionError):
                value = text
            if value is None:  # in the JSON of a section, null means the default
                value = text
            sections.setdefault(section, {})[field] = value
    environment |= {f"KOGPT2_{section.upper()}": json.dumps(fields) for section, fields in sections.items()}
    quoted = {name: text for name, (text, source) in chosen.items() if source == "file"}
    lines = [f'{name}="{_escaped(text)}"' for name, text in quoted.items()]
    return environment, "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


PRINT_SETTINGS = """
import json
from kogpt2_chat.settings import load_settings
from kogpt2_chat.variables import as_variables
print(json.dumps(as_variables(load_settings())))
"""
OTHER_ENV_FILE = "KOGPT2_KAFKA__BOOTSTRAP=prod.example:9092\nKOGPT2_PORTS__OFFSET=31\nKOGPT2_NONSENSE=1\n"
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False, derandomize=True, database=None,
)  # fmt: skip


@QUICK
@given(chosen=choices(valid_texts, sorted(set(LEAVES) - PAIRED)))
def test_every_program_has_the_settings_of_the_command(chosen):
    """The source of a setting does not matter, and a `.env` in the program's folder is ignored."""
    environment, env_file = sources_of(chosen)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        with isolated(folder / "caller", environment, env_file):
            caller = load_settings()
            inherited = clean_environment()
        with isolated(folder / "caller", {name: text for name, (text, _) in chosen.items()}):
            assert load_settings() == caller
        expected = caller.model_copy(update={"home": caller.home.resolve(), "cache": caller.cache_dir.resolve()})
        tested: list[dict[str, str]] = []
        for program in all_programs(caller, folders_of(caller), JAVA):
            own = program_environment(program, caller, caller.home)
            passed = {name: text for name, text in own.items() if name.startswith("KOGPT2_") and name != MARK}
            if program.user:
                assert passed == {}
            elif passed not in tested:
                tested.append(passed)
                with isolated(folder / "checkout", {**inherited, **passed}, OTHER_ENV_FILE):
                    assert load_settings() == _with_ordinal(expected, program)


def _with_ordinal(tree: Settings, program: Program) -> Settings:
    for section in ("serving", "world"):
        ordinal = program.environment.get(f"KOGPT2_{section.upper()}__ORDINAL")
        if ordinal is not None:
            numbered = getattr(tree, section).model_copy(update={"ordinal": int(ordinal)})
            tree = tree.model_copy(update={section: numbered})
    return tree


@QUICK
@given(
    invalid=choices(invalid_texts, sorted(LEAVES)),
    valid=choices(valid_texts, sorted(set(LEAVES) - PAIRED)),
    misspelt=st.sets(
        st.sampled_from(["KOGPT2_STAK__WORKERS", "KOGPT2_PORTS__OFSET", "KOGPT2_HOM", "kogpt2_hdfs_root"])
    ),
)
def test_all_faults_are_reported_at_once_without_secrets(invalid, valid, misspelt):
    """All invalid values and unknown names are reported, and valid settings are not."""
    environment, env_file = sources_of({**valid, **invalid})
    with (
        tempfile.TemporaryDirectory() as name,
        isolated(Path(name).resolve() / "caller", {**environment, **dict.fromkeys(misspelt, SECRET)}, env_file),
        pytest.raises(InvalidInput) as caught,
    ):
        load_settings()
    output = str(caught.value)
    reported = {line.strip().split(":")[0].split(" ")[0] for line in output.splitlines()[1:]}
    assert reported == set(invalid) | {one.upper() for one in misspelt}
    assert SECRET not in output


def test_a_start_script_passes_the_settings_to_a_process(tmp_path):
    """The script quotes the values, and a `.env` in the folder is ignored."""
    odd = "a'b\"c $HOME `x` ${Y} \\ 별"
    given_settings = Settings(
        home=tmp_path / "집 #1", cache=tmp_path, ports={"offset": 7, "datanode": (1, 2)}, kafka={"sasl_password": odd},
        serving={"sampling": {"ChatbotA": {}}, "uncertain": {"ChatbotB": "notice"}}, hdfs={"root": "/a,b"},
        stack={"airflow_database": f"postgresql://u:{odd}@h/db"},
    )  # fmt: skip
    (tmp_path / ".env").write_text(OTHER_ENV_FILE)
    program = Program(name="x", group="x", command=(sys.executable, "-c", PRINT_SETTINGS))
    script = tmp_path / "start.sh"
    script.write_text(start_script(program, program_environment(program, given_settings, tmp_path)), encoding="utf-8")
    path = os.pathsep.join([str(CHECKOUT / "src"), str(CHECKOUT)])
    output = subprocess.run(
        ["/bin/sh", script], cwd=tmp_path, env={**clean_environment(), "PYTHONPATH": path}, capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
    found = json.loads(output)
    assert found["KOGPT2_KAFKA__SASL_PASSWORD"] == odd
    assert json.loads(found["KOGPT2_SERVING__SAMPLING"]) == {"ChatbotA": {}}
    assert (found["KOGPT2_HOME"], found["KOGPT2_PORTS__OFFSET"]) == (str(tmp_path / "집 #1"), "7")
    assert "KOGPT2_KAFKA__BOOTSTRAP" not in found


@pytest.mark.parametrize("module", ["kogpt2_chat.cli", "serving"])
@pytest.mark.parametrize(
    "variables",
    [
        {"KOGPT2_SERVING__SAMPLING": "{bad"}, {"KOGPT2_KAFKA__SASL_MECHANISM": "PLAIN"},
        {"KOGPT2_PORTS__WORKER_METRICS": "65535", "KOGPT2_SERVING__ORDINAL": "2"},
    ],
)  # fmt: skip
def test_invalid_settings_end_a_program_with_exit_code_2(tmp_path, module, variables):
    """The supervisor does not restart a program with this exit code. The message has no traceback."""
    path = os.pathsep.join([str(CHECKOUT / "src"), str(CHECKOUT)])
    argv = [sys.executable, "-m", module, *(["settings"] if module == "kogpt2_chat.cli" else [])]
    environment = {**clean_environment(), "PYTHONPATH": path, "KOGPT2_HOME": str(tmp_path), **variables}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert next(iter(variables)) in done.stderr


def test_a_worker_whose_kafka_client_rejects_the_settings_is_not_restarted(tmp_path):
    """For example, the certificate file is missing. The last line of the log has the event, and the exit code is 2."""
    path = os.pathsep.join([str(CHECKOUT / "src"), str(CHECKOUT)])
    variables = {"KOGPT2_KAFKA__SECURITY_PROTOCOL": "SSL", "KOGPT2_KAFKA__SSL_CAFILE": "없는.pem"}
    environment = {**clean_environment(), "PYTHONPATH": path, "KOGPT2_HOME": str(tmp_path), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "serving"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["event"] == "settings_wrong"
