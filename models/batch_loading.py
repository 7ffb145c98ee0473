"""Batches of videos on their way to the network."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, get_worker_info

from utils.data.batches import collate_videos


def make_loader(dataset: Dataset, batches: Sequence[list[int]], config: ConfigDict) -> DataLoader:
    """Loads the given batches of videos, in order: pairs of their features and their time_dicts."""
    return _VideoLoader(
        dataset, batch_sampler=batches, collate_fn=_collate, num_workers=config.NUM_WORKERS,
        worker_init_fn=leave_signals_to_the_main_process,
        # A loader draws a seed for its workers when it is iterated; its own generator keeps this out of the random
        # numbers of training.
        generator=torch.Generator().manual_seed(config.SEED),
    )


class _VideoLoader(DataLoader):
    """Turns arrays into tensors, and starts the loading processes with signals blocked (see `_signals_held_back`)."""

    def __iter__(self) -> Iterator[tuple[list[Tensor], list[dict[str, Any]]]]:
        with _signals_held_back():
            batches = super().__iter__()
        return (([torch.as_tensor(sequence) for sequence in sequences], times) for sequences, times in batches)


def _collate(videos: list[tuple[Tensor, dict[str, Any]]]) -> tuple[list[Any], list[dict[str, Any]]]:
    """A batch; a loading process returns it as arrays, which are sent through a pipe.

    Tensors would be sent through shared memory. If that is full (64 MB in many containers), the loading process
    fails in a thread of torch, and the training process never stops waiting.
    """
    sequences, times = collate_videos(videos)
    return (sequences if get_worker_info() is None else [sequence.numpy() for sequence in sequences]), times


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Blocks SIGTERM and Ctrl-C in processes that are started in the block, until they have their own handlers.

    They inherit the signals that this thread blocks.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_the_main_process(worker: int) -> None:
    """Makes a loading worker ignore a SIGTERM or Ctrl-C that is sent to the whole process group.

    It must go on loading until the current step is done. A SIGTERM from the main process still ends it: that is how
    the main process ends its workers when it leaves without asking them to stop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on every system; without it a worker ends at the first SIGTERM
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_at_the_main_process_s_word, daemon=True).start()


def _end_at_the_main_process_s_word() -> None:
    # Only a thread that waits for a signal learns which process sent it.
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def step_generator(seed: int, epoch: int, batch: int) -> torch.Generator:
    """The generator of a step's random choices; its seed depends on SEED, the epoch and the batch's number."""
    return torch.Generator().manual_seed(((seed * 1_000_003 + epoch) * 1_000_003 + batch) % 2**63)


def run_network(
    network: nn.Module, sequences: Sequence[Tensor], device: torch.device, precision: str = "float32"
) -> dict[str, list[Tensor]]:
    """The network's output for a batch, in float32.

    Args:
        network: a model of `models.build_model`.
        sequences: features of the videos.
        device: where the network is.
        precision: 'float32', or 'bfloat16' for autocast: matrix products and convolutions round their inputs to
            eight significant bits; weights and sums stay in float32.
    """
    sequences = to_device(sequences, device)
    if precision == "float32":
        return network(sequences)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        output_dict = network(sequences)
    return {name: [value.float() for value in values] for name, values in output_dict.items()}


def to_device(sequences: Iterable[Tensor], device: torch.device) -> list[Tensor]:
    """The sequences on the device; those already there are not copied."""
    return [sequence.to(device, non_blocking=True) for sequence in sequences]
