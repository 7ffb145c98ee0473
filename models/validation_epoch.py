"""The validation losses, which decide the best checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from models.batch_loading import step_generator, to_device
from utils.loss_entry import LossFunction
from utils.training.log import Averages
from utils.training.processes import Processes


@torch.inference_mode()
def run_validation_epoch(
    model: nn.Module,
    batches: Iterable[tuple[list[Tensor], list[dict]] | None],
    loss_fn: LossFunction,
    epoch: int,
    device: torch.device,
    plan_loss_fn: LossFunction | None = None,
    processes: Processes | None = None,
    after_batch: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The mean of every loss term over the validation batches of all processes, as a dict.

    Args:
        model: the network.
        batches: this process's pairs of sequences and their time_dicts; None in a round in which only other
            processes have a batch.
        loss_fn: the loss that chooses the best checkpoints, the same function at every epoch.
        epoch: number of the epoch, from 0.
        device: where to compute.
        plan_loss_fn: the training loss, with lambda and the drop schedule of this epoch; its terms are reported
            too, as `at_epoch_<term>`, but don't decide the best checkpoints.
        processes: the processes that share the validation set.
        after_batch: called after each of the batches; may raise to end the validation.
    """
    model.eval()
    averages = Averages()
    for batch in batches:
        if batch is not None:
            sequences, times = batch
            output_dict = model(to_device(sequences, device))
            averages.add(loss_fn(output_dict, epoch, times_list=times))
            if plan_loss_fn is not None:
                generator = step_generator(0, epoch, 0)
                at_epoch = plan_loss_fn(output_dict, epoch, times_list=times, generator=generator)
                averages.add({f"at_epoch_{name}": value for name, value in at_epoch.items()})
        after_batch()
    return averages.means(processes)
