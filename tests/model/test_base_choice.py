"""Which base a home begins with: looked for once, recorded, kept; and what of a hub is believed."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest

from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.testing.tiny_gpt2 import full_size_files, tiny_version
from kogpt2_chat.training import base, hub
from kogpt2_chat.training.base_record import read_record, record_path

COMMIT = "abc1230000000000000000000000000000000000"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 513302779\n"


@pytest.fixture(autouse=True)
def hub_cache(tmp_path, monkeypatch):
    """A hub's cache of this test's own; a hub at an address that nobody listens at."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "hub-cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    point_at(monkeypatch, "http://127.0.0.1:9")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """KoGPT2's files, in small."""
    return full_size_files(tmp_path_factory.mktemp("files"), layers=1, width=32, heads=2)


def point_at(monkeypatch, url):
    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        old = getattr(huggingface_hub.constants, name)
        monkeypatch.setattr(
            huggingface_hub.constants, name, url if name == "ENDPOINT" else url + old[old.index("/{") :]
        )


def asking(settings, asked, **more):
    return settings.model_copy(update={"model": settings.model.model_copy(update={"base": asked, **more})})


def put_in_cache(folder, files, names):
    """What a hub's client leaves of some files."""
    place = folder / "models--skt--kogpt2-base-v2"
    snapshot = place / "snapshots" / COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    (place / "refs").mkdir(exist_ok=True)
    (place / "refs" / "main").write_text(COMMIT)
    for name in names:
        (snapshot / name).write_bytes((files / name).read_bytes())
    return snapshot


@pytest.fixture
def fake_hub(files, monkeypatch):
    """A hub that serves one model and keeps what it was asked."""
    asked = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if "/tree/" in self.path:
                rows = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "1" * 40}
                    for file in files.iterdir()
                ]
                return self.send(json.dumps(rows).encode())
            if "/revision/" in self.path:
                return self.send(json.dumps({"id": hub.KOGPT2, "sha": COMMIT, "siblings": []}).encode())
            return self.send((files / self.path.rsplit("/", 1)[1]).read_bytes())

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def send(self, body):
            self.send_response(200)
            self.send_header("ETag", '"' + self.path.rsplit("/", 1)[1] + '"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    point_at(monkeypatch, f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()


def test_a_cache_with_the_tokenizer_alone_is_not_believed(settings, hub_cache, files):
    """Files of a model that lack its weights are no base: without a hub the small base stands in."""
    put_in_cache(hub_cache, files, ["config.json", "tokenizer.json"])
    said = []
    assert base.prepare(asking(settings, "auto"), said.append).small
    assert any("the small base stands in" in line for line in said)


def test_what_a_cache_lacks_is_fetched_and_found_again(settings, hub_cache, files, fake_hub):
    """The hub gives the rest; then the cache is whole, and nobody asks the hub any more."""
    put_in_cache(hub_cache, files, ["tokenizer.json"])
    prepared = base.prepare(asking(settings, "auto"), lambda _: None)
    assert (prepared.name, prepared.small) == (hub.KOGPT2, False)
    asked = len(fake_hub)
    assert asked
    other = asking(settings, "auto").model_copy(update={"home": settings.home / "second"})
    assert base.prepare(other, lambda _: None) == prepared
    assert len(fake_hub) == asked


def test_a_whole_cache_comes_first(settings, hub_cache, files, fake_hub):
    """Cache, hub, small: with everything in the cache the hub is not asked."""
    put_in_cache(hub_cache, files, ["config.json", "tokenizer.json", "pytorch_model.bin"])
    assert base.prepare(asking(settings, "auto"), lambda _: None).name == hub.KOGPT2
    assert fake_hub == []


def test_a_silent_hub_is_asked_once_and_not_for_long(settings, monkeypatch):
    """A hub that takes connections and says nothing costs the look's time, once a home."""
    monkeypatch.setattr(hub, "LOOK_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        said = []
        first = base.prepare(asking(settings, "auto"), said.append)
        assert first.small
        assert sum("asking the hub" in line for line in said) == 1
        said.clear()
        assert base.prepare(asking(settings, "auto"), said.append) == first
        assert said == []


def test_living_bots_keep_their_base_when_another_turns_up(settings, hub_cache, files):
    """A choice is recorded with what it was made of, and stands though KoGPT2 is in the cache later."""
    first = base.prepare(asking(settings, "auto"), lambda _: None)
    put_in_cache(hub_cache, files, ["config.json", "tokenizer.json", "pytorch_model.bin"])
    assert base.prepare(asking(settings, "auto"), lambda _: None) == first
    record = read_record(settings.home)
    assert (record.asked, record.name, record.sha) == ("auto", "small", first.sha)
    changed = asking(settings, "auto", small_epochs=1)
    assert base.prepare(changed, lambda _: None) == first, "settings of the small base do not change it either"


def test_a_base_that_is_named_is_taken_and_the_difference_said(settings, files):
    """The setting wins for its command; `auto` goes on with what the home was begun with."""
    first = base.prepare(asking(settings, "small"), lambda _: None)
    said = []
    assert not base.prepare(asking(settings, str(files)), said.append).small
    assert any("this home was begun with small" in line for line in said)
    assert base.prepare(asking(settings, "auto"), said.append) == first


def test_a_home_from_before_the_record_keeps_the_base_of_its_versions(settings, hub_cache, files):
    """A worker's shelf says what its bots began with, though KoGPT2 is in the cache now."""
    put_in_cache(hub_cache, files, ["config.json", "tokenizer.json", "pytorch_model.bin"])
    tiny_version(settings.home / "models" / "ChatbotA" / "1")
    said = []
    assert base.prepare(asking(settings, "auto"), said.append).small
    assert "they keep it" in said[0]


def test_a_recorded_base_that_is_gone_is_an_error_with_a_way_out(settings, tmp_path, files):
    """Nothing else is taken in its place."""
    first = base.prepare(asking(settings, str(files)), lambda _: None)
    first.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match=r"is gone.*KOGPT2_MODEL__BASE=.*chosen\.json"):
        base.prepare(asking(settings, "auto"), lambda _: None)
    base.prepare(asking(settings, str(files)), lambda _: None)
    assert base.prepare(asking(settings, "auto"), lambda _: None) == first


def test_a_small_base_that_was_swept_away_is_made_again(settings):
    """The same corpora and settings give the same base: an empty cache is no reason to stop."""
    first = base.prepare(asking(settings, "auto"), lambda _: None)
    (first.folder / "model.safetensors").unlink()
    again = base.prepare(asking(settings, "auto"), lambda _: None)
    assert again == first


def test_a_broken_record_is_named(settings):
    """Guessing could change the base under living bots."""
    record_path(settings.home).parent.mkdir(parents=True)
    record_path(settings.home).write_text("{}")
    with pytest.raises(InvalidInput, match=r"chosen\.json cannot be read"):
        base.prepare(asking(settings, "auto"), lambda _: None)


def test_a_named_base_that_cannot_be_had_is_an_error(settings, monkeypatch):
    """Nobody who names a base gets another one; nothing is recorded."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Unavailable, match=r"some/gpt2.*HF_HUB_OFFLINE"):
        base.prepare(asking(settings, "some/gpt2"), lambda _: None)
    assert read_record(settings.home) is None


@pytest.mark.parametrize("name", ["pytorch_model.bin", "tokenizer.json"])
def test_a_git_lfs_pointer_is_called_one(settings, tmp_path, files, name):
    """130 bytes where a file should be: cloned without LFS, and the message says so."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    for file in files.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / name).write_text(POINTER)
    with pytest.raises(InvalidInput, match=rf"{name} is a Git LFS pointer of \d+ bytes.*git lfs pull"):
        base.prepare(asking(settings, str(folder)), lambda _: None)
