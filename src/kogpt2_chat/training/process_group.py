"""Ranks that exchange sums over torch.distributed: gloo between processors, nccl between GPUs.

The address of the other ranks is in the environment, as torchrun sets it.
"""

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import psutil
import torch
from torch import Tensor, distributed
from transformers import GPT2LMHeadModel

from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.training.compute import Asked, choose_precision

ANSWER_TIMEOUT_S: Final = 900.0
"""How long a rank waits for the others: longer than the slowest step, or the upload of a checkpoint, takes."""


class PeerLost(Unavailable):
    """Another rank ended or did not answer: this rank cannot continue."""


class ProcessGroup:
    """This process and its peers, connected.

    Args:
        gpu_group: the group that sums tensors on GPUs; None to train on processors.
    """

    def __init__(self, gpu_group: distributed.ProcessGroup | None) -> None:
        self._gradients = gpu_group
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()

    def sum_gradients(self, weights: Iterable[Tensor]) -> None:
        """See :meth:`kogpt2_chat.training.ranks.Ranks.sum_gradients`.

        Raises:
            PeerLost: another rank ended or did not answer.
        """
        trained = [weight for weight in weights if weight.requires_grad]
        for weight in trained:
            if weight.grad is None:  # every rank must send the same tensors
                weight.grad = torch.zeros_like(weight)
        self._sum([weight.grad for weight in trained if weight.grad is not None], self._gradients)

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """See :meth:`kogpt2_chat.training.ranks.Ranks.sum`.

        Raises:
            PeerLost: another rank ended or did not answer.
        """
        sums = torch.tensor(list(numbers), dtype=torch.float64)
        self._sum([sums], None)
        return [float(number) for number in sums]

    def _sum(self, tensors: Sequence[Tensor], group: distributed.ProcessGroup | None) -> None:
        """Sum tensors in place. They are sent at once, so that one is summed while the next is on its way."""
        try:
            for work in [distributed.all_reduce(tensor, group=group, async_op=True) for tensor in tensors]:
                work.wait()
        except RuntimeError as error:
            raise PeerLost(f"rank {self.rank} can no longer exchange gradients: {error}") from error


@contextmanager
def joined(*, gpus: bool, timeout_s: float = ANSWER_TIMEOUT_S) -> Iterator[ProcessGroup]:
    """Connect to the other ranks; leave them at the end.

    Args:
        gpus: whether each rank trains on a GPU of its own.
        timeout_s: how long to wait for a rank that does not answer.

    Yields:
        The group of all ranks.

    Raises:
        InvalidInput: a rank has no GPU of its own.
        PeerLost: a rank did not arrive in time.
    """
    interface = _interface_to(os.environ["MASTER_ADDR"])
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = interface
    timeout = timedelta(seconds=timeout_s)
    try:
        distributed.init_process_group("gloo", timeout=timeout)
    except (RuntimeError, distributed.DistError) as error:
        raise PeerLost(f"rank {os.environ['RANK']} cannot reach the others over {interface}: {error}") from error
    try:
        yield ProcessGroup(_gpu_group(timeout) if gpus else None)
    finally:
        distributed.destroy_process_group()


def agree_on_precision(ranks: ProcessGroup, asked: Asked, network: GPT2LMHeadModel) -> Asked:
    """Return the precision of all ranks; ``auto``: bf16 only if every rank measures that it pays."""
    if asked != "auto":
        return asked
    [count] = ranks.sum([float(choose_precision(asked, network) == "bf16")])
    return "bf16" if count == ranks.size else "fp32"


def _gpu_group(timeout: timedelta) -> distributed.ProcessGroup:
    number, local_ranks = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if torch.cuda.device_count() < local_ranks:
        raise InvalidInput(
            f"KOGPT2_TRAINING__RANK_GPUS: {socket.gethostname()} has {torch.cuda.device_count()} GPUs for "
            f"{local_ranks} ranks, expected one for each: lower KOGPT2_TRAINING__RANKS, or train on processors"
        )
    torch.cuda.set_device(number)
    group = distributed.new_group(backend="nccl", timeout=timeout)
    if not isinstance(group, distributed.ProcessGroup):
        raise PeerLost("nccl made no group of all ranks")
    return group


def _interface_to(address: str) -> str:
    """Return the network interface that reaches an address.

    gloo would take the one of this machine's host name, which may be another network, or no address of this machine.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))  # sends nothing
        own = probe.getsockname()[0]
    names = [name for name, ips in psutil.net_if_addrs().items() if any(ip.address == own for ip in ips)]
    return names[0] if names else "lo"
