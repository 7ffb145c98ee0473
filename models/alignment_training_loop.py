"""The training loop: epochs of steps and validation, two best checkpoints, a state from which a run resumes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from models.json_dataset import TaskBatchSampler, VideoData, collate_videos
from utils.interruption import Interrupted, StopRequest
from utils.loss_entry import (
    LossFunction,
    get_loss_function,
    get_progress_lambda,
    get_validation_loss_function,
    gradient_sizes,
)
from utils.processes import Processes
from utils.run_checkpoints import RunCheckpoints, TrainingState
from utils.training_log import Averages, all_finite, epoch_row, write_training_log

logger = logging.getLogger(__name__)

# Checkpoint type -> the validation loss whose minimum it keeps.
BEST_CRITERIA = {"combined": "total_loss", "alignment": "alignment_loss"}


class TrainingDiverged(RuntimeError):
    """Too many non-finite losses in a row; `ckpt/last.pt` holds the last good state."""


class AlignmentTraining:
    """Trains a network on `data.train`, choosing the best checkpoints on `data.val`.

    Writes `metrics.csv`, `loss_curves.png`, `ckpt/best_model_combined.pt`, `ckpt/best_model_alignment.pt`,
    `ckpt/last.pt` and `ckpt/epoch-N.pt` every CKPT_EVERY epochs into the run's folder.

    Args:
        model: the network, on `device`.
        data: the training and validation videos.
        config: a validated configuration.
        run: the run's folder.
        device: where to compute.
        processes: those that train together; each takes its share of the batches.
    """

    def __init__(
        self, model: nn.Module, data: VideoData, config: ConfigDict, run: Path, device: torch.device,
        processes: Processes | None = None,
    ):
        self.model, self.data, self.config, self.run, self.device = model, data, config, run, device
        self.processes = processes or Processes()
        self.num_epochs = config.NUM_EPOCHS
        self.loss_fn = get_loss_function(config, num_epochs=self.num_epochs)
        self.validation_loss_fn = get_validation_loss_function(config, num_epochs=self.num_epochs)
        self.optimizer = torch.optim.Adam(
            model.parameters(), lr=config.LEARNING_RATE, weight_decay=config.WEIGHT_DECAY, fused=True
        )
        self.trained = self.processes.wrap(model)
        self.sampler = TaskBatchSampler(data.train, config.BATCH_SIZE, config.SEED, shuffle=True)
        self.validation_videos = data.val
        if not len(data.val):
            logger.warning("no validation videos; the best checkpoints are chosen on the training videos")
            self.validation_videos = data.train
        self.validation_sampler = TaskBatchSampler(
            self.validation_videos, config.BATCH_SIZE, config.SEED, shuffle=False
        )
        self.checkpoints = RunCheckpoints(model, self.optimizer, data, config, run)
        self.state = TrainingState()

    def resume(self, checkpoint: Mapping[str, Any]) -> None:
        """Continues from the content of a `last.pt`."""
        self.state = self.checkpoints.restore(checkpoint)

    def run_to_the_end(self) -> None:
        """Trains until NUM_EPOCHS are done.

        Raises:
            TrainingDiverged: after MAX_BAD_STEPS non-finite steps in a row.
            Interrupted: after SIGTERM or Ctrl-C, the state saved.
        """
        with StopRequest() as stop, logging_redirect_tqdm():
            try:
                while self.state.epoch < self.num_epochs:
                    self._train_epoch(stop)
            finally:
                if self.processes.is_main:
                    write_training_log(self.run, self.state.history, curves=True)
        if self.processes.is_main:
            self.checkpoints.add_progress_normalizers(self.device)

    def _train_epoch(self, stop: StopRequest) -> None:
        train_means = self._run_training_steps(stop)
        batches = self._share(list(self.validation_sampler))
        validation = run_validation_epoch(
            self.model, make_loader(self.validation_videos, batches, self.config), self.validation_loss_fn,
            self.state.epoch, self.device, plan_loss_fn=self.loss_fn, processes=self.processes,
        )
        self._finish_epoch(train_means, validation)
        if signal_number := self.processes.highest(stop.signal_number or 0):
            raise Interrupted(signal_number)

    def _run_training_steps(self, stop: StopRequest) -> dict[str, float]:
        """Trains to the end of the epoch; returns the mean of every loss term.

        A step takes one batch a process. One whose loss or gradient is not finite leaves the weights alone.
        """
        self.model.train()
        state, world_size = self.state, self.processes.world_size
        began = time.perf_counter() - state.seconds
        averages = Averages(**state.totals) if self.processes.is_main else Averages()
        self.sampler.set_epoch(state.epoch)
        batches = list(self.sampler)
        loader = make_loader(
            self.data.train.in_epoch(state.epoch), self._share(batches, state.batch, repeat=True), self.config
        )
        bar = tqdm(
            loader, desc=f"epoch {state.epoch + 1}/{self.num_epochs}", leave=False,
            disable=None if self.processes.is_main else True,
        )
        for sequences, times in bar:
            in_step = min(world_size, len(batches) - state.batch)
            takes_part = self.processes.rank < in_step
            loss_dict, norm = self._forward_backward(
                sequences, times, number=state.batch + self.processes.rank,
                # The processes' gradients are averaged over all of them, and some may have no batch left.
                weight=world_size / in_step if takes_part else 0.0,
            )
            # The step's one wait for the device: whether to take it must be known here.
            finite = bool(all_finite(norm, *loss_dict.values()))
            if not self.processes.any(not finite):
                self.optimizer.step()
                state.bad_steps_in_a_row = 0
                if takes_part:
                    averages.add({**loss_dict, "gradient_norm": norm})
            else:
                self._note_bad_step(sequences, times, {**loss_dict, "gradient_norm": norm}, culprit=not finite)
            state.batch += in_step
            if not bar.disable:
                bar.set_postfix({name: f"{value:.4f}" for name, value in averages.means().items()})
            signal_number = self.processes.highest(stop.signal_number or 0)
            if signal_number and state.batch < len(batches):
                state.totals = averages.gathered(self.processes).state()
                state.seconds = time.perf_counter() - began
                self._write_last()
                raise Interrupted(signal_number)
        state.seconds = time.perf_counter() - began
        return averages.means(self.processes)

    def _forward_backward(
        self, sequences: Sequence[Tensor], times: Sequence[Mapping[str, Any]], number: int, weight: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of a batch and the norm of the gradient, which is left on the parameters, clipped."""
        # Random choices hang on the batch alone: the same whichever process takes it, and after a resume.
        generator = step_generator(self.config.SEED, self.state.epoch, number)
        output_dict = self.trained(to_device(sequences, self.device))
        loss_dict = self.loss_fn(output_dict, self.state.epoch, times_list=list(times), generator=generator)
        if number == 0 and "progress_loss" in loss_dict:
            progress_weight = get_progress_lambda(self.state.epoch, self.num_epochs, self.config.PROGRESS_LOSS)
            loss_dict.update(gradient_sizes(output_dict["outputs"], loss_dict, progress_weight))
        self.optimizer.zero_grad(set_to_none=True)
        (loss_dict["total_loss"] * weight).backward()
        return loss_dict, nn.utils.clip_grad_norm_(self.model.parameters(), self.config.MAX_GRAD_NORM)

    def _share(self, batches: list[list[int]], start: int = 0, repeat: bool = False) -> list[list[int]]:
        """This process's batches from `start` on; with `repeat`, a process that runs out takes a stand-in."""
        rank, world_size = self.processes.rank, self.processes.world_size
        rounds = range(start, len(batches), world_size)
        return [
            batches[min(first + rank, len(batches) - 1)]
            for first in rounds if repeat or first + rank < len(batches)
        ]

    def _note_bad_step(
        self, sequences: Sequence[Tensor], times: Sequence[Mapping[str, Any]], losses: Mapping[str, Tensor],
        culprit: bool,
    ) -> None:
        """Counts a step that no process took; the process whose batch it was says so and dumps it."""
        state = self.state
        state.bad_steps += 1
        state.bad_steps_in_a_row += 1
        names = ", ".join(time_dict["name"] for time_dict in times)
        if culprit:
            logger.warning(
                "epoch %d: loss or gradient not finite on videos %s; step skipped", state.epoch + 1, names
            )
            self.checkpoints.dump_bad_step(state, sequences, times, losses)
        if state.bad_steps_in_a_row >= self.config.MAX_BAD_STEPS:
            self._write_last()
            raise TrainingDiverged(
                f"{state.bad_steps_in_a_row} steps in a row were not finite (MAX_BAD_STEPS), the last on videos "
                f"{names}; the last good state is in {self.run / 'ckpt' / 'last.pt'}"
            )

    def _write_last(self) -> None:
        """Writes `last.pt`; no process goes on before it lies there, for the first to leave ends the others."""
        if self.processes.is_main:
            self.checkpoints.write_last(self.state)
        self.processes.wait()

    def _finish_epoch(self, train_means: Mapping[str, float], validation: Mapping[str, float]) -> None:
        """Records the epoch, writes the checkpoints that it earned, and moves the state to the next one."""
        state = self.state
        progress = self.config.PROGRESS_LOSS
        weight = get_progress_lambda(state.epoch, self.num_epochs, progress) if progress.enabled else 0.0
        about_steps = {"lambda": weight, "seconds": state.seconds, "bad_steps": state.bad_steps}
        row = epoch_row(state.epoch, train={**train_means, **about_steps}, val=validation)
        improved = {
            kind: validation[criterion] for kind, criterion in BEST_CRITERIA.items()
            if validation[criterion] < state.best[kind]
        }
        finished = state.epoch + 1
        if self.processes.is_main:
            _log_epoch(row, self.num_epochs)
            for kind, loss in improved.items():
                logger.info("New best %s loss: %.4f", kind.upper(), loss)
                self.checkpoints.write(f"best_model_{kind}.pt", state.epoch, loss)
            if self.config.CKPT_EVERY and finished % self.config.CKPT_EVERY == 0:
                self.checkpoints.write(f"epoch-{finished}.pt", state.epoch, validation["total_loss"])
        state.best = {**state.best, **improved}
        state.history = [*state.history, row]
        state.epoch, state.batch, state.totals, state.seconds = finished, 0, {}, 0.0
        if self.processes.is_main:
            self.checkpoints.write_last(state)
            write_training_log(self.run, state.history, curves=False)


@torch.inference_mode()
def run_validation_epoch(
    model: nn.Module,
    batches: Iterable[tuple[list[Tensor], list[dict]]],
    loss_fn: LossFunction,
    epoch: int,
    device: torch.device,
    plan_loss_fn: LossFunction | None = None,
    processes: Processes | None = None,
) -> dict[str, float]:
    """The mean of every loss term over the validation batches of all processes, as a dict.

    Args:
        model: the network.
        batches: this process's pairs of sequences and their time_dicts.
        loss_fn: the loss that chooses the best checkpoints, the same function at every epoch.
        epoch: number of the epoch, from 0.
        device: where to compute.
        plan_loss_fn: the training loss, with lambda and the drop schedule of this epoch; its terms are reported
            too, as `at_epoch_<term>`, and choose nothing.
        processes: those that share the validation set.
    """
    model.eval()
    averages = Averages()
    for sequences, times in batches:
        output_dict = model(to_device(sequences, device))
        averages.add(loss_fn(output_dict, epoch, times_list=times))
        if plan_loss_fn is not None:
            at_epoch = plan_loss_fn(output_dict, epoch, times_list=times, generator=step_generator(0, epoch, 0))
            averages.add({f"at_epoch_{name}": value for name, value in at_epoch.items()})
    return averages.means(processes)


def make_loader(dataset: Dataset, batches: Sequence[list[int]], config: ConfigDict) -> DataLoader:
    """Loads the given batches of videos, in order."""
    return DataLoader(
        dataset, batch_sampler=batches, collate_fn=collate_videos, num_workers=config.NUM_WORKERS,
        # A loader draws a seed for its workers when iterated; not from the numbers that training draws.
        generator=torch.Generator().manual_seed(config.SEED),
    )


def step_generator(seed: int, epoch: int, batch: int) -> torch.Generator:
    """The source of a step's random choices, a function of where the step stands in the run."""
    return torch.Generator().manual_seed(((seed * 1_000_003 + epoch) * 1_000_003 + batch) % 2**63)


def to_device(sequences: Iterable[Tensor], device: torch.device) -> list[Tensor]:
    """The sequences on the device; those already there are not copied."""
    return [sequence.to(device, non_blocking=True) for sequence in sequences]


def _loss_columns(row: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name, value in row.items() if name.endswith("_loss") and "at_epoch" not in name)


def _log_epoch(row: Mapping[str, float], num_epochs: int) -> None:
    losses = ", ".join(f"{name} {value:.4f}" for name, value in _loss_columns(row))
    logger.info("epoch %d/%d: %s (%.1f s)", row["epoch"] + 1, num_epochs, losses, row["train_seconds"])
    if "train_progress_gradient" in row:
        alignment, progress = row["train_alignment_gradient"], row["train_progress_gradient"]
        logger.info("gradient on the embedding: alignment %.3g, lambda x progress %.3g", alignment, progress)
