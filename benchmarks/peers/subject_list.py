"""What is compared: each peer with its environment, its model and how its process is started; ours in every form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from kogpt2_chat.machine.cores import usable_cores

Batching = Literal["continuous", "static", "single"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One engine in one configuration, which is a row of the tables.

    Attributes:
        name: its name in the tables.
        module: its module in ``benchmarks.peers.subjects``.
        peer: its environment, by the name of its requirements; empty: the product's own.
        maker: the module in ``benchmarks.peers.make`` that writes its model; empty: it reads the version's folder.
        arguments: further arguments of its process.
        batching: ``continuous``: requests join and leave at any step; ``static``: a batch of what waits runs to its
            end; ``single``: one request at a time.
        bytes_per_weight: that it reads of each weight in a pass.
        caps: environment variables that limit its kernels to AVX2; empty if no such limit is known.
        cap_note: what is known about that limit.
        waiting: the loads of the closed loop.
    """

    name: str
    module: str
    peer: str = ""
    maker: str = ""
    arguments: tuple[str, ...] = ()
    batching: Batching
    bytes_per_weight: float
    caps: tuple[tuple[str, str], ...] = ()
    cap_note: str
    waiting: tuple[int, ...] = (1, 8, 32)


ORIGINAL: Final = "the original way"
_ONEDNN: Final = (("ONEDNN_MAX_CPU_ISA", "AVX2"), ("DNNL_MAX_CPU_ISA", "AVX2"))
_TORCH: Final = (*_ONEDNN, ("ATEN_CPU_CAPABILITY", "avx2"), ("MKL_ENABLE_INSTRUCTIONS", "AVX2"))
_CTRANSLATE2: Final = (*_ONEDNN, ("CT2_FORCE_CPU_ISA", "AVX2"), ("MKL_ENABLE_INSTRUCTIONS", "AVX2"))
_OPENVINO_NOTE: Final = "products are limited by oneDNN's variable; attention is built per instruction set and is not"
_TORCH_NOTE: Final = "limited by the variables of ATen, oneDNN and MKL"

PEERS: Final[tuple[Subject, ...]] = (
    Subject(
        name=ORIGINAL, module="transformers_fp32", peer="transformers", arguments=("--original",), batching="single",
        bytes_per_weight=4, caps=_TORCH, cap_note=_TORCH_NOTE, waiting=(1,),
    ),
    Subject(
        name="OpenVINO GenAI int8", module="openvino_genai_int8", peer="openvino_genai", maker="openvino_genai_int8",
        batching="continuous", bytes_per_weight=1, caps=_ONEDNN, cap_note=_OPENVINO_NOTE,
    ),
    Subject(
        name="onnxruntime-genai int8", module="onnxruntime_genai_int8", peer="onnxruntime_genai",
        maker="onnxruntime_genai_int8", batching="static", bytes_per_weight=1 + 4 / 128,
        cap_note="not limited: onnxruntime has no setting for it",
    ),
    Subject(
        name="llama.cpp Q8_0", module="llama_cpp_q8", peer="llama_cpp", maker="llama_cpp_q8", batching="continuous",
        bytes_per_weight=1 + 2 / 32, arguments=("--threads", str(usable_cores())),
        cap_note="nothing to limit: the wheel is built for AVX2 only",
    ),
    Subject(
        name="transformers fp32", module="transformers_fp32", peer="transformers", batching="static",
        bytes_per_weight=4, caps=_TORCH, cap_note=_TORCH_NOTE,
    ),
)  # fmt: skip
OURS: Final = "ours, "


def all_subjects(forms: Sequence[str], cores: int) -> list[Subject]:
    """Return the peers, and ours in each form that the version's graph can be served in.

    Args:
        forms: of the version's graph on this machine.
        cores: that a process may use.
    """
    ours = [
        Subject(
            name=f"{OURS}{form}", module="ours", arguments=("--form", form), batching="continuous", bytes_per_weight=1,
            caps=_ONEDNN, cap_note=_OPENVINO_NOTE if form.startswith("int8") else "limited by the same variables",
        )
        for form in forms
    ]  # fmt: skip
    return [PEERS[0], *ours, *PEERS[1:], *(_ctranslate2(workers, cores // workers) for workers in {1, cores})]


def _ctranslate2(workers: int, threads: int) -> Subject:
    return Subject(
        name=f"CTranslate2 int8, {workers} x {threads} threads", module="ctranslate2_int8", peer="ctranslate2",
        maker="ctranslate2_int8", arguments=("--workers", str(workers), "--threads", str(threads)), batching="static",
        bytes_per_weight=1, caps=_CTRANSLATE2, cap_note="limited by its own variable and oneDNN's",
    )  # fmt: skip
