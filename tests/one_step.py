"""The gradients of one step, of one process or several: `python -m tests.one_step FILE --config ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from configs.entry_config import read_command_line
from models.alignment_training_loop import AlignmentTraining, make_loader
from models.build_model import build_model
from utils.command import leave
from utils.data.dataset import load_data
from utils.training.processes import Processes, join_processes


def make_training(arguments: Sequence[str], processes: Processes) -> AlignmentTraining:
    """A training with weights from a fixed seed, whose gradients are not clipped."""
    config = read_command_line(["train", *arguments, "--config.MAX_GRAD_NORM=1e9"]).config
    data = load_data(config.to_dict())
    torch.manual_seed(0)
    model = build_model(config.to_dict(), data.feature_width, len(data.train.tasks))
    return AlignmentTraining(model, data, config, Path(config.OUTPUT_FOLDER), torch.device("cpu"), processes)


def gradients_of(training: AlignmentTraining, number: int) -> dict[str, Tensor]:
    """Every parameter's gradient after one step on the batch of that number."""
    batch = list(training.sampler)[number]
    ((sequences, times),) = make_loader(training.data.train, [batch], training.config)
    training._forward_backward(sequences, times, number=number, weight=1.0)
    return {name: gradient.clone() for name, gradient in _gradients(training.model)}


def _gradients(model: nn.Module):
    return ((name, weight.grad) for name, weight in model.named_parameters() if weight.grad is not None)


if __name__ == "__main__":
    with join_processes(torch.device("cpu")) as joined:
        gradients = gradients_of(make_training(sys.argv[2:], joined), joined.rank)
        if joined.is_main:
            torch.save(gradients, sys.argv[1])
    leave(0)
