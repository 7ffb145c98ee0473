"""The training loop: training and validation epochs, two best checkpoints, and a state to resume from."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from models.batch_loading import make_loader, run_network, step_generator
from models.validation_epoch import run_validation_epoch
from utils.data.batches import TaskBatchSampler
from utils.data.dataset import VideoData
from utils.errors import Interrupted, TrainingDiverged
from utils.files import write_json
from utils.loss_entry import (
    MeanPath,
    get_loss_function,
    get_progress_lambda,
    get_validation_loss_function,
    gradient_sizes,
)
from utils.loss_functions.alignment_terms import alignment_terms
from utils.training.checkpoints import RunCheckpoints
from utils.training.interruption import StopRequest
from utils.training.log import Averages, TrainingLog, all_finite, epoch_row, log_epoch
from utils.training.processes import Processes
from utils.training.progress_normalizers import MeanPaths, mean_path_lengths
from utils.training.state import BEST_CRITERIA, TrainingState

logger = logging.getLogger(__name__)

# Not every step: to show the losses so far, the CPU must wait for the device.
STEPS_PER_DISPLAY = 20


class AlignmentTraining:
    """Trains a network on `data.train`, choosing the best checkpoints on `data.val`.

    Writes `metrics.csv`, `loss_curves.png`, `ckpt/best_model_combined.pt`, `ckpt/best_model_alignment.pt`,
    `ckpt/last.pt` and `ckpt/epoch-N.pt` (every CKPT_EVERY epochs) into the run's folder, and `tensorboard/` if
    TENSORBOARD is on.

    Args:
        model: the network, on `device`.
        data: the training and validation videos.
        config: a validated configuration.
        run: the run's folder.
        device: where to compute.
        processes: the processes that train together; each takes its share of the batches.
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
        leave_unused_parts_alone(model, config)
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
        self.log = TrainingLog(run, BEST_CRITERIA, tensorboard=config.TENSORBOARD)
        self.state = TrainingState()
        self.totals: dict[str, MeanPath] = {}  # of the current steps, see `_totals`

    def resume(self, checkpoint: Mapping[str, Any]) -> None:
        """Continues from the content of a `last.pt`."""
        self.state = self.checkpoints.restore(checkpoint, most_batches=len(self.sampler))
        if checkpoint["config"]["NUM_EPOCHS"] != self.num_epochs:
            self._measure_best_again(checkpoint["config"]["NUM_EPOCHS"])
        if self.processes.is_main:
            # The settings may have changed; and the newest `config.json` marks the run that was used last.
            write_json(self.run / "config.json", self.config.to_dict())

    def _measure_best_again(self, epochs_before: int) -> None:
        """Validates the best checkpoints again, after NUM_EPOCHS was changed.

        The validation loss uses the final values of lambda and of the schedules. These depend on NUM_EPOCHS, so a
        best loss measured before the change can't be compared with a loss measured after it.
        """
        logger.warning(
            "NUM_EPOCHS was %d and is %d: lambda and the schedules of GTCC and VAVA now extend over the new length; "
            "the validation losses already in the log were measured with the old length",
            epochs_before, self.num_epochs,
        )
        for kind, criterion in BEST_CRITERIA.items():
            loaded = self.checkpoints.load_best(kind)
            loss = float("inf")
            if loaded is not None:
                loss = self._validate(loaded.model, loaded.checkpoint["epoch"])[criterion]
                logger.info("best %s loss: %.4f, measured again", kind, loss)
                if self.processes.is_main:
                    self.checkpoints.rewrite(loaded, loss=loss)
            self.state.best[kind] = loss
        self.processes.wait()

    def run_to_the_end(self) -> None:
        """Trains until NUM_EPOCHS are done.

        Raises:
            TrainingDiverged: after MAX_BAD_STEPS non-finite steps in a row; or at the end, if no epoch had a
                finite validation loss.
            Interrupted: after SIGTERM or Ctrl-C, when the state is saved.
        """
        with StopRequest() as stop, logging_redirect_tqdm():
            try:
                while self.state.epoch < self.num_epochs:
                    self._train_epoch(stop)
            except BaseException:
                self._write_log_of_a_broken_run()
                raise
        # From here on a signal ends the process at once; a resumed run does what was left undone.
        if self.processes.is_main:
            self.log.write(self.state.history, curves=True)
            self.checkpoints.add_progress_normalizers(self.device)
        if missing := [kind for kind, loss in self.state.best.items() if math.isinf(loss)]:
            raise TrainingDiverged(
                f"the validation loss was not finite at any epoch: there is no best {' and no best '.join(missing)} "
                f"checkpoint in {self.run / 'ckpt'}"
            )

    def _train_epoch(self, stop: StopRequest) -> None:
        train_means = self._run_training_steps(stop)
        self.state.mean_paths = self._mean_paths(self.model)
        validation = self._validate(self.model, self.state.epoch, stop, self.state.mean_paths)
        self._finish_epoch(train_means, validation)
        if signal_number := self.processes.highest(stop.signal_number or 0):
            raise Interrupted(signal_number)

    def _mean_paths(self, model: nn.Module, epoch: int | None = None) -> MeanPaths:
        """The mean total path lengths of the training videos, as the network is now; empty if the loss needs none.

        They are measured once an epoch. A running mean over the steps would lag behind the network, depend on the
        number of processes, and differ from what online progress divides by, which the validation loss must use.

        Args:
            model: the network.
            epoch: measure what the steps of this epoch see, its drawn frames in PRECISION; None: what validation sees.
        """
        progress = self.config.PROGRESS_LOSS
        if not progress.enabled or progress.normalizer == "own":
            return {}
        precision = "float32" if epoch is None else self.config.PRECISION
        network = partial(run_network, model.eval(), device=self.device, precision=precision)
        return mean_path_lengths(network, self.data.train, self.device, progress.level, epoch, self.processes)

    def _totals(self, mean_paths: MeanPaths) -> dict[str, MeanPath]:
        """What the loss divides each video's path by: the mean path of its task, by the name of the video."""
        videos = chain(self.data.train.videos, self.data.val.videos)
        return {video.handle: mean_paths[video.task] for video in videos if video.task in mean_paths}

    def _validate(
        self, model: nn.Module, epoch: int, stop: StopRequest | None = None,
        mean_paths: MeanPaths | None = None,
    ) -> dict[str, float]:
        """The validation losses. With `stop`, a signal ends the validation after the current batch.

        A resumed run then validates again from the first batch. `mean_paths` are the network's; None measures them.
        """
        batches = list(self.validation_sampler)
        own = self.processes.share(batches)
        rounds = -(-len(batches) // self.processes.world_size)
        loader = make_loader(self.validation_videos, own, self.config)
        totals = self._totals(self._mean_paths(model) if mean_paths is None else mean_paths)
        loss_fn, plan_loss_fn = (partial(loss, totals=totals) for loss in (self.validation_loss_fn, self.loss_fn))
        return run_validation_epoch(
            model, chain(loader, repeat(None, rounds - len(own))), loss_fn, epoch, self.device,
            plan_loss_fn=plan_loss_fn, processes=self.processes,
            after_batch=lambda: self._leave_if_asked(stop) if stop is not None else None,
        )

    def _leave_if_asked(self, stop: StopRequest) -> None:
        if signal_number := self.processes.highest(stop.signal_number or 0):
            self._write_last()
            raise Interrupted(signal_number)

    def _run_training_steps(self, stop: StopRequest) -> dict[str, float]:
        """Trains to the end of the epoch; returns the mean of every loss term.

        In each step, every process takes one batch. A step whose loss or gradient is not finite changes no weight.
        """
        see_the_same = self.config.MAX_FRAMES == 0 and self.config.PRECISION == "float32"  # as the validation before
        if not self.state.mean_paths or (self.state.batch == 0 and not see_the_same):
            self.state.mean_paths = self._mean_paths(self.model, self.state.epoch)
        self.totals = self._totals(self.state.mean_paths)
        self.model.train()
        state, world_size = self.state, self.processes.world_size
        began = time.perf_counter() - state.seconds
        averages = Averages(**state.totals) if self.processes.is_main else Averages()
        self.sampler.set_epoch(state.epoch)
        batches = list(self.sampler)
        loader = make_loader(
            self.data.train.in_epoch(state.epoch), self.processes.share(batches, state.batch, repeat=True), self.config
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
            # The only place in a step that waits for the device: the step is taken only if all is finite.
            finite = bool(all_finite(norm, *loss_dict.values()))
            if not self.processes.any(not finite):
                self.optimizer.step()
                state.bad_steps_in_a_row = 0
                if takes_part:
                    averages.add({**loss_dict, "gradient_norm": norm})
            else:
                self._note_bad_step(sequences, times, loss_dict, norm)
            state.batch += in_step
            if state.bad_steps_in_a_row >= self.config.MAX_BAD_STEPS:
                self._note_totals(averages, began)
                self._write_last()
                raise TrainingDiverged(
                    f"{state.bad_steps_in_a_row} steps in a row were not finite (MAX_BAD_STEPS), the last on videos "
                    f"{_names(times)}; the last good state is in {self.run / 'ckpt' / 'last.pt'}"
                )
            if not bar.disable and state.batch // world_size % STEPS_PER_DISPLAY == 1:
                bar.set_postfix({name: f"{value:.4f}" for name, value in averages.means().items()})
            if signal_number := self.processes.highest(stop.signal_number or 0):
                self._note_totals(averages, began)
                self._write_last()
                raise Interrupted(signal_number)
        self._note_totals(averages, began)
        return Averages(**state.totals).means()

    def _note_totals(self, averages: Averages, began: float) -> None:
        """Stores the epoch's sums over all processes, and its training time in seconds, in the state."""
        self.state.totals = averages.gathered(self.processes).state()
        self.state.seconds = time.perf_counter() - began

    def _forward_backward(
        self, sequences: Sequence[Tensor], times: Sequence[Mapping[str, Any]], number: int, weight: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of a batch, and the gradient's norm before clipping; the parameters keep the clipped gradient."""
        # Random choices depend only on the batch: they are the same in any process, and in a resumed run.
        generator = step_generator(self.config.SEED, self.state.epoch, number)
        output_dict = run_network(self.trained, sequences, self.device, self.config.PRECISION)
        loss_dict = self.loss_fn(
            output_dict, self.state.epoch, times_list=list(times), generator=generator, totals=self.totals
        )
        if number == 0 and "progress_loss" in loss_dict:
            progress_weight = get_progress_lambda(self.state.epoch, self.num_epochs, self.config.PROGRESS_LOSS)
            loss_dict.update(gradient_sizes(output_dict["outputs"], loss_dict, progress_weight))
        self.optimizer.zero_grad(set_to_none=True)
        (loss_dict["total_loss"] * weight).backward()
        return loss_dict, nn.utils.clip_grad_norm_(self.model.parameters(), self.config.MAX_GRAD_NORM)

    def _note_bad_step(
        self, sequences: Sequence[Tensor], times: Sequence[Mapping[str, Any]], losses: Mapping[str, Tensor],
        norm: Tensor,
    ) -> None:
        """Counts a skipped step; the process whose batch was bad logs a warning and writes `bad_step.pt`.

        The gradient is the mean over the processes. If it is not finite but all losses are, the bad batch is
        unknown, and the first process logs and writes its own.
        """
        state = self.state
        state.bad_steps += 1
        state.bad_steps_in_a_row += 1
        own = not bool(all_finite(*losses.values()))
        known = self.processes.any(own)  # a collective call: every process must make it
        if own or (self.processes.is_main and not known):
            # A sum of losses is named only if each single loss is finite.
            bad = [name for name, value in losses.items() if name.endswith("_loss") and not bool(all_finite(value))]
            terms = [name for name in bad if name not in ("alignment_loss", "total_loss")] or bad
            logger.warning(
                "epoch %d: %s not finite on videos %s; step skipped",
                state.epoch + 1, ", ".join(terms) or "gradient", _names(times),
            )
            self.checkpoints.dump_bad_step(state, sequences, times, {**losses, "gradient_norm": norm})

    def _write_last(self) -> None:
        """Writes `last.pt`. All processes wait until it is written: when one process leaves, the others are ended."""
        if self.processes.is_main:
            self.checkpoints.write_last(self.state)
        self.processes.wait()

    def _write_log_of_a_broken_run(self) -> None:
        """Writes the log and curves so far. If that fails, it is only logged, so that the first error is reported."""
        if self.processes.is_main:
            try:
                self.log.write(self.state.history, curves=True)
            except OSError as error:
                logger.warning("%s", error)

    def _finish_epoch(self, train_means: Mapping[str, float], validation: Mapping[str, float]) -> None:
        """Records the epoch, writes its checkpoints, and moves the state to the next epoch."""
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
            log_epoch(row, self.num_epochs)
            if not all(math.isfinite(validation[criterion]) for criterion in BEST_CRITERIA.values()):
                logger.warning("epoch %d: the validation loss is not finite; no best checkpoint is written", finished)
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
            self.log.write(state.history)


def leave_unused_parts_alone(model: nn.Module, config: ConfigDict) -> None:
    """Takes the drop network out of training if no loss uses it; of the project's losses only GTCC with gamma < 1 does.

    It would take a tenth of the time of a step. With several processes, every step would also have to search for the
    weights that got no gradient.
    """
    if model.drop_network is not None and not any(term.reads_dropouts for term in alignment_terms(config).values()):
        model.drop_network.requires_grad_(False)
        model.gives_dropouts = False


def _names(times: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(time_dict["name"] for time_dict in times)
