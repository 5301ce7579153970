"""The client's pages: how long browsers keep them, and what a gateway shows when npm could not be reached."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kogpt2_chat.settings import CHECKOUT
from tests.world.served import Served, in_memory_topics, serve

A_YEAR_S = 31_536_000
BUILD = """
say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }
source scripts/beat.sh
source scripts/client.sh
build_client
echo "the set-up goes on"
"""
SERVE = """
import json, requests
from tests.world.served import in_memory_topics, serve
from world.gateway.pages import CLIENT
with serve(in_memory_topics()) as served:
    page, health = requests.get(served.url), requests.get(served.url + "/health")
    session = requests.post(served.url + "/session", json={"name": "하늘"})
    CLIENT.mkdir()
    (CLIENT / "index.html").write_text("별마루", "utf-8")
    later = requests.get(served.url).content.decode()
    print(json.dumps([page.status_code, page.text, page.headers["cache-control"], health.status_code, health.json(), session.status_code, later]))
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve(in_memory_topics()) as running:
        yield running


@pytest.fixture
def unbuilt(tmp_path: Path) -> Path:
    """A checkout whose client is neither installed nor built."""
    folder = tmp_path / "내 집 #1" / "kogpt2"
    unwanted = shutil.ignore_patterns("node_modules", "dist", "__pycache__")
    for name in ("scripts", "world"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=unwanted)
    shutil.copy(CHECKOUT / "requirements.lock", folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / ".venv" / "bin" / "python").chmod(0o755)
    return folder


def test_browsers_keep_what_never_changes_and_ask_for_the_rest(served: Served) -> None:
    """Files with a hash in their names for a year; the page that names them never without asking."""
    page = requests.get(served.url)
    assert page.status_code == 200, "the client is not built: run `make setup`"
    for path in ("/", "/index.html"):
        assert requests.get(served.url + path).headers["cache-control"] == "no-cache"
    assets = re.findall(r'(?:src|href)="/?(assets/[^"]+)"', page.text)
    assert len(assets) >= 2
    for path in assets:
        kept = requests.get(f"{served.url}/{path}")
        assert kept.status_code == 200
        assert {part.strip() for part in kept.headers["cache-control"].split(",")} == {
            "public",
            "immutable",
            f"max-age={A_YEAR_S}",
        }
    again = requests.get(f"{served.url}/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content, again.headers["cache-control"]) == (304, b"", "no-cache")
    missing = requests.get(f"{served.url}/assets/missing.js")
    assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")
    for path in ("/session", "/health"):
        assert requests.get(served.url + path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("was_built", [False, True])
def test_without_npms_registry_the_set_up_goes_on(unbuilt: Path, tmp_path: Path, was_built: bool) -> None:
    """It says what the world has for a page, why, and what to do; it leaves no half-built client behind."""
    dist = unbuilt / "world" / "client" / "dist"
    if was_built:
        dist.mkdir()
        (dist / "index.html").touch()
    away = {
        "npm_config_registry": "http://127.0.0.1:9/",  # nothing listens on this port
        "npm_config_fetch_retries": "0",
        "npm_config_cache": str(tmp_path / "npm"),
    }
    command = ["bash", "-euo", "pipefail", "-c", BUILD]
    done = subprocess.run(command, cwd=unbuilt, env={**os.environ, **away}, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "the set-up goes on\n"), done.stderr
    page = "keeps the page of an earlier version" if was_built else "has no page"
    assert f"setup: the world {page}, because npm could not fetch the packages of its client: " in done.stderr
    assert "reason: connect ECONNREFUSED 127.0.0.1:9" in done.stderr
    assert "run `make setup` again where npm's registry can be reached" in done.stderr
    assert not (dist / ".setup-stamp").exists()
    assert not (unbuilt / "world" / "client" / "node_modules" / ".setup-stamp").exists()


def test_a_gateway_without_a_client_says_what_to_do(unbuilt: Path) -> None:
    """In both languages, in place of the page. The world is up for Unity and for other programs.

    What is built later is shown by the running gateway.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(unbuilt), str(CHECKOUT)])}
    done = subprocess.run(
        [sys.executable, "-c", SERVE], cwd=unbuilt, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    status, text, cache, health_status, health, session_status, later = json.loads(done.stdout.splitlines()[-1])
    assert (status, cache) == (503, "no-store")
    assert "run `make setup` where npm's registry can be reached" in text
    assert "`make setup`을 실행해 주세요" in text
    assert (health_status, health["ready"], health["client"]) == (200, True, False)
    assert (session_status, later) == (200, "별마루")
