"""Tiny models for the tests of this folder."""

import sys
from pathlib import Path

import pytest
import torch

from kogpt2_chat.artifact.card import ModelCard
from kogpt2_chat.artifact.tokenizer import train_tokenizer
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.network.batches import make_examples
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.testing.tiny_gpt2 import tiny_version
from kogpt2_chat.training.fit import fit
from tests.capped import (  # noqa: F401 - hooks of this folder
    IS_TORCH_ALONE,
    pytest_runtest_logreport,
    pytest_runtest_protocol,
)
from tests.conftest import write_small_corpus
from tests.model.recipes import recipe_with


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """More threads do not speed up tiny tensors, and other tests run at the same time."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A version's folder; read only. If only torch may run, it is not converted for OpenVINO."""
    return tiny_version(tmp_path_factory.mktemp("tiny") / "1", with_engine=not IS_TORCH_ALONE)


@pytest.fixture(autouse=True)
def _torch_alone():
    """In a capped process of torch, no test imports OpenVINO."""
    yield
    if IS_TORCH_ALONE:
        assert "openvino" not in sys.modules


@pytest.fixture(scope="session")
def few_seeds(tmp_path_factory) -> Path:
    """Corpora from which a base is made in a second."""
    folder = tmp_path_factory.mktemp("corpora")
    for bot in BOT_IDS:
        write_small_corpus(CHECKOUT / "corpora" / bot, folder / bot, 60)
    return folder


@pytest.fixture(scope="session")
def measured_forms(tmp_path_factory) -> Path:
    """What this session has measured of the engine's forms, which belongs to this machine."""
    return tmp_path_factory.mktemp("engine")


@pytest.fixture
def settings(tmp_path, few_seeds, measured_forms) -> Settings:
    """Settings with a separate home and cache for each test; only the measured forms are shared."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "engine").symlink_to(measured_forms)
    return Settings(
        learning={"corpora": few_seeds},
        home=tmp_path / "home",
        cache=tmp_path / "cache",
        model={"base": "small", "threads": 1, "max_new_tokens": 12, "small_layers": 1, "small_width": 32, "small_heads": 2,
               "small_vocabulary": 700, "small_epochs": 2},
        training={"epochs": 2, "batch_size": 8, "precision": "fp32"},
    )  # fmt: skip


PAIRS = [
    Pair(question=question, answer=answer)
    for question, answer in (
        ("안녕?", "안녕하세요! 별마루에 잘 오셨어요."),
        ("어디부터 볼까?", "달빛호수에서 같이 산책해요."),
        ("축제는 언제야?", "등불축제는 토요일 저녁에 열려요."),
        ("오늘 힘들었어", "힘들었겠어요. 잠깐 쉬어 가요."),
        ("고백은 어떻게 해?", "고백할 때는 웃으면서 말해 봐요!"),
        ("배고파", "등불시장의 붕어빵을 먹어 봐요."),
    )
]


class TrainedNetwork:
    """A network that knows its pairs by heart, and can be written as a version in several forms."""

    pairs = PAIRS
    card = ModelCard(base="t", licence="", small=True, bot="ChatbotA")

    def __init__(self) -> None:
        self.tokenizer = train_tokenizer([text for pair in PAIRS for text in (pair.question, pair.answer)], 700)
        config = gpt2_config(vocabulary=self.tokenizer.size, layers=2, width=64, heads=2, positions=128, dropout=0.0)
        self.network = new_network(config, 3)
        self.examples = make_examples(PAIRS, self.tokenizer, 64, 40)
        fit(self.network, self.examples, recipe_with(epochs=60, batch_size=6, learning_rate=5e-3, precision="fp32"))

    def write(self, folder: Path, *, ranges: bool = True, prompts: bool = True) -> Path:
        """Write a version, with or without activation ranges and prompts to compare on."""
        from kogpt2_chat.evaluation.export import write_version  # imports OpenVINO

        write_version(
            folder, self.network, self.tokenizer, self.card,
            sequences=[example.ids for example in self.examples] if ranges else [],
            prompts=[example.ids[: example.answer_start] for example in self.examples] if prompts else [],
        )  # fmt: skip
        return folder


@pytest.fixture(scope="session")
def learned() -> TrainedNetwork:
    """Trained once for all tests; they do not change it."""
    return TrainedNetwork()
