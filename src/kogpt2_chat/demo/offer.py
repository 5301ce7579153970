"""What the demo offers at its end where it ran on the small base: KoGPT2, and what that costs on this machine."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Final

_MINUTE_S: Final = 60


def offer(estimate: Mapping[str, object], home: Path, dataset: str = "") -> list[str]:
    """The offer, in English and in Korean, and the command to take it.

    Args:
        estimate: what :func:`kogpt2_chat.jobs.estimate_base.estimate_base` found.
        home: of the demo that ran; KoGPT2 gets a home beside it, since a home keeps its base.
        dataset: that it was given; empty: the shipped corpora.

    Returns:
        Lines to print.
    """
    base, bots, size = estimate["base"], estimate["bots"], f"{estimate['download_mb']} MB"
    corpus = f"DATASET={quote(str(Path(dataset).absolute()))} " if dataset else ""
    command = f"make down && {corpus}KOGPT2_MODEL__BASE={base} KOGPT2_HOME={quote(f'{home}-kogpt2')} make demo"
    if estimate["training_s"] is None:
        cost = f"not measured on this machine ({estimate['reason']})"
        korean = "이 컴퓨터에서 얼마나 걸릴지는 재지 못했습니다"
    else:
        minutes = f"{max(1.0, float(str(estimate['training_s'])) / _MINUTE_S):.0f}"
        speed = f"{float(str(estimate['answer_tokens_per_s'])):.0f}"
        cost = (
            f"training version 1 of {bots} bots takes about {minutes} minute{'s'[: minutes != '1']} on this machine "
            f"(measured: {speed} answer tokens/s at its size)"
        )
        korean = (
            f"이 컴퓨터에서 봇 {bots}개의 버전 1을 학습하는 데 약 {minutes}분 걸립니다"
            f"(이 크기에서 측정한 속도: 초당 답변 토큰 {speed}개)"
        )
    return [
        "These answers come from the small base, which shows the loop; good answers to new questions need KoGPT2.",
        f"KoGPT2 ({base}): {cost}; download {size}; CC BY-NC-SA 4.0, no commercial use.",
        "위의 답은 순환을 보여 주는 작은 기반 모델의 것입니다. 처음 보는 질문에도 잘 답하려면 KoGPT2가 필요합니다.",
        f"KoGPT2({base}): {korean}. 내려받기 {size}, CC BY-NC-SA 4.0(상업적 이용 불가).",
        f"  {command}",
    ]
