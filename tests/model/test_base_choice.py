"""The choice of a home's base, which is made once and recorded, and the files that are used from a hub's cache."""

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
    """An empty hub cache for each test; the hub is at an address where no server listens."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "hub-cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    point_at(monkeypatch, "http://127.0.0.1:9")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of KoGPT2, with a tiny network."""
    return full_size_files(tmp_path_factory.mktemp("files"), layers=1, width=32, heads=2)


def point_at(monkeypatch, url):
    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        old = getattr(huggingface_hub.constants, name)
        monkeypatch.setattr(
            huggingface_hub.constants, name, url if name == "ENDPOINT" else url + old[old.index("/{") :]
        )


def with_base(settings, name, **more):
    return settings.model_copy(update={"model": settings.model.model_copy(update={"base": name, **more})})


def put_in_cache(folder, files, names):
    """Write files into the cache as the hub's client does."""
    repository = folder / "models--skt--kogpt2-base-v2"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for name in names:
        (snapshot / name).write_bytes((files / name).read_bytes())
    return snapshot


@pytest.fixture
def fake_hub(files, monkeypatch):
    """A hub that serves one model and records the requested paths."""
    requests = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
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
    yield requests
    server.shutdown()


def test_a_cache_without_weights_is_not_used(settings, hub_cache, files):
    """A model's files without its weights are not a base: without a hub, the small base is used."""
    put_in_cache(hub_cache, files, ["config.json", "tokenizer.json"])
    lines = []
    assert base.prepare(with_base(settings, "auto"), lines.append).small
    assert any("using the small base instead" in line for line in lines)


def test_files_that_a_cache_lacks_are_downloaded_once(settings, hub_cache, files, fake_hub):
    """The missing files come from the hub; then the cache is complete, and the hub gets no more requests."""
    put_in_cache(hub_cache, files, ["tokenizer.json"])
    prepared = base.prepare(with_base(settings, "auto"), lambda _: None)
    assert (prepared.name, prepared.small) == (hub.KOGPT2, False)
    request_count = len(fake_hub)
    assert request_count
    other = with_base(settings, "auto").model_copy(update={"home": settings.home / "second"})
    assert base.prepare(other, lambda _: None) == prepared
    assert len(fake_hub) == request_count


def test_a_complete_cache_comes_first(settings, hub_cache, files, fake_hub):
    """The order is cache, hub, small base: if everything is in the cache, the hub gets no request."""
    put_in_cache(hub_cache, files, ["config.json", "tokenizer.json", "pytorch_model.bin"])
    assert base.prepare(with_base(settings, "auto"), lambda _: None).name == hub.KOGPT2
    assert fake_hub == []


def test_a_hub_that_does_not_respond_costs_one_timeout(settings, monkeypatch):
    """A hub that accepts connections and does not answer costs the timeout, once per home."""
    monkeypatch.setattr(hub, "HUB_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        lines = []
        first = base.prepare(with_base(settings, "auto"), lines.append)
        assert first.small
        assert sum("asking the hub" in line for line in lines) == 1
        lines.clear()
        assert base.prepare(with_base(settings, "auto"), lines.append) == first
        assert lines == []


def test_existing_bots_keep_their_base_when_another_becomes_available(settings, hub_cache, files):
    """The recorded choice is used even if KoGPT2 is in the cache later."""
    first = base.prepare(with_base(settings, "auto"), lambda _: None)
    put_in_cache(hub_cache, files, ["config.json", "tokenizer.json", "pytorch_model.bin"])
    assert base.prepare(with_base(settings, "auto"), lambda _: None) == first
    record = read_record(settings.home)
    assert (record.asked, record.name, record.sha) == ("auto", "small", first.sha)
    changed = with_base(settings, "auto", small_epochs=1)
    assert base.prepare(changed, lambda _: None) == first, "settings of the small base do not change it either"


def test_a_named_base_is_used_and_the_difference_reported(settings, files):
    """The setting takes precedence for its command; `auto` still uses the recorded base."""
    first = base.prepare(with_base(settings, "small"), lambda _: None)
    lines = []
    assert not base.prepare(with_base(settings, str(files)), lines.append).small
    assert any("the recorded base of this home is small" in line for line in lines)
    assert base.prepare(with_base(settings, "auto"), lines.append) == first


def test_a_home_from_before_the_record_keeps_the_base_of_its_versions(settings, hub_cache, files):
    """A worker's version folders name the base of its bots, even if KoGPT2 is in the cache now."""
    put_in_cache(hub_cache, files, ["config.json", "tokenizer.json", "pytorch_model.bin"])
    tiny_version(settings.home / "models" / "ChatbotA" / "1")
    lines = []
    assert base.prepare(with_base(settings, "auto"), lines.append).small
    assert "they keep it" in lines[0]


def test_a_missing_recorded_base_is_an_error_that_says_what_to_do(settings, tmp_path, files):
    """No other base is used instead."""
    first = base.prepare(with_base(settings, str(files)), lambda _: None)
    first.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match=r"is missing.*KOGPT2_MODEL__BASE=.*chosen\.json"):
        base.prepare(with_base(settings, "auto"), lambda _: None)
    base.prepare(with_base(settings, str(files)), lambda _: None)
    assert base.prepare(with_base(settings, "auto"), lambda _: None) == first


def test_a_deleted_small_base_is_made_again(settings):
    """The same corpora and settings give the same base, so an empty cache is not an error."""
    first = base.prepare(with_base(settings, "auto"), lambda _: None)
    (first.folder / "model.safetensors").unlink()
    again = base.prepare(with_base(settings, "auto"), lambda _: None)
    assert again == first


def test_a_broken_record_is_an_error(settings):
    """Choosing again could change the base of existing bots."""
    record_path(settings.home).parent.mkdir(parents=True)
    record_path(settings.home).write_text("{}")
    with pytest.raises(InvalidInput, match=r"chosen\.json cannot be read"):
        base.prepare(with_base(settings, "auto"), lambda _: None)


def test_a_named_base_that_is_not_available_is_an_error(settings, monkeypatch):
    """A named base is never replaced by another one, and nothing is recorded."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Unavailable, match=r"some/gpt2.*HF_HUB_OFFLINE"):
        base.prepare(with_base(settings, "some/gpt2"), lambda _: None)
    assert read_record(settings.home) is None


@pytest.mark.parametrize("name", ["pytorch_model.bin", "tokenizer.json"])
def test_a_git_lfs_pointer_is_recognised(settings, tmp_path, files, name):
    """A clone without LFS contains pointers of 130 bytes instead of files, and the message says so."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    for file in files.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / name).write_text(POINTER)
    with pytest.raises(InvalidInput, match=rf"{name} is a Git LFS pointer of \d+ bytes.*git lfs pull"):
        base.prepare(with_base(settings, str(folder)), lambda _: None)
