"""The suggestion after a demo on the small base: run it with KoGPT2, with the estimated cost on this machine."""

from pathlib import Path
from shlex import quote
from typing import Final

from kogpt2_chat.training.estimate_base import BaseEstimate

_MINUTE_S: Final = 60


def offer(estimate: BaseEstimate, home: Path, dataset: str = "") -> list[str]:
    """Return the suggestion in English and Korean, with the command to run.

    Args:
        estimate: result of :func:`kogpt2_chat.training.estimate_base.estimate_base`.
        home: home folder of the demo; the command uses another one, since a home keeps its base model.
        dataset: the demo's dataset; empty for the shipped corpora.

    Returns:
        Lines to print.
    """
    base, bots, size = estimate.base, estimate.bots, f"{estimate.download_mb} MB"
    corpus = f"DATASET={quote(str(Path(dataset).absolute()))} " if dataset else ""
    command = f"make down && {corpus}KOGPT2_MODEL__BASE={base} KOGPT2_HOME={quote(f'{home}-kogpt2')} make demo"
    if estimate.training_s is None or estimate.answer_tokens_per_s is None:
        cost = f"not measured on this machine ({estimate.reason})"
        korean = "이 컴퓨터에서 학습에 걸리는 시간은 측정하지 못했습니다"
    else:
        minutes = f"{max(1.0, estimate.training_s / _MINUTE_S):.0f}"
        speed = f"{estimate.answer_tokens_per_s:.0f}"
        cost = (
            f"training version 1 of {bots} bots takes about {minutes} minute{'s'[: minutes != '1']} on this machine "
            f"(measured with a network of KoGPT2's size: {speed} answer tokens/s)"
        )
        korean = (
            f"이 컴퓨터에서 봇 {bots}개의 버전 1을 학습하는 데 약 {minutes}분 걸립니다"
            f"(KoGPT2 크기의 네트워크로 측정한 속도: 초당 답변 토큰 {speed}개)"
        )
    return [
        "These answers come from the small base, which only demonstrates the loop; use KoGPT2 for good answers.",
        f"KoGPT2 ({base}): {cost}; download {size}; CC BY-NC-SA 4.0, no commercial use.",
        "위 답변은 시연용 작은 베이스 모델의 답변입니다. 처음 보는 질문에도 잘 답하려면 KoGPT2가 필요합니다.",
        f"KoGPT2({base}): {korean}. 다운로드 크기 {size}, CC BY-NC-SA 4.0(상업적 이용 불가).",
        f"  {command}",
    ]
