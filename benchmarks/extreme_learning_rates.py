"""Whether any learning rate ends in weights that are not finite.

    python -m benchmarks.extreme_learning_rates
    python -m benchmarks.extreme_learning_rates --factors 1 100 10000 --steps 200

Trains the demo's network on a small synthetic data set, each loss alone with the progress loss beside it, for
a number of steps at multiples of the default learning rate. Prints the results; exits with 1 if a weight is not
finite at the end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from configs.entry_config import read_command_line
from configs.generic_config import CONFIG
from models.alignment_training_loop import AlignmentTraining
from models.build_model import build_model
from utils.data.dataset import load_data
from utils.data.synthetic import write_synthetic_dataset
from utils.errors import TrainingDiverged
from utils.training.interruption import StopRequest
from utils.training.reproducibility import seed_everything

LOSSES = ("GTCC", "tcc", "LAV", "VAVA", "VAOT")
DEMO = str(Path(__file__).parents[1] / "configs" / "demo.py")


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    steps: steps done, including skipped ones. bad_steps: skipped steps. weights_finite: whether all weights are
    finite. last_loss: mean training loss of the last epoch. largest_weight: largest absolute value of a weight.
    """

    steps: int
    bad_steps: int
    weights_finite: bool
    last_loss: float
    largest_weight: float


def train_steps(data_root: Path, output: Path, loss: str, factor: float, steps: int) -> Outcome:
    """Trains for at least so many steps, whole epochs, at `factor` times the default learning rate.

    Args:
        data_root: holds `synthetic/`.
        output: folder for the dump of a bad step.
        loss: name of the one alignment loss.
        factor: multiple of the default learning rate.
        steps: training steps; a run that diverges earlier ends there.
    """
    config = read_command_line([
        "train", "--config", DEMO, f"--config.DATASET_PATH={data_root}",
        f"--config.LEARNING_RATE={factor * CONFIG.LEARNING_RATE}", f"--config.MAX_BAD_STEPS={steps}",
        *(f"--config.LOSS_TYPE.{name}={str(name == loss).lower()}" for name in LOSSES),
    ]).config
    seed_everything(config.SEED)
    data = load_data(config.to_dict())
    model = build_model(config.to_dict(), data.feature_width, len(data.train.tasks))
    training = AlignmentTraining(model, data, config, output, torch.device("cpu"))
    done, means = 0, {}
    with StopRequest() as stop:
        try:
            while done < steps:
                means = training._run_training_steps(stop)
                done += training.state.batch
                training.state.epoch, training.state.batch = training.state.epoch + 1, 0
        except TrainingDiverged:
            done += training.state.batch
    weights = [weight.detach().abs().max() for weight in model.parameters()]
    largest = float(torch.stack(weights).max())
    return Outcome(done, training.state.bad_steps, all(map(torch.isfinite, weights)),
                   means.get("total_loss", float("nan")), largest)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factors", type=float, nargs="+", default=[1.0, 10.0, 100.0])
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    finite = True
    print("loss | times the default learning rate | steps | skipped | last loss | largest weight | weights")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_synthetic_dataset(root / "synthetic", seed=0, tasks=2, videos=8)
        for loss in LOSSES:
            for factor in options.factors:
                result = train_steps(root, root / "output", loss, factor, options.steps)
                finite &= result.weights_finite
                print(f"{loss} | {factor:g} | {result.steps} | {result.bad_steps} | {result.last_loss:.4g} | "
                      f"{result.largest_weight:.3g} | {'finite' if result.weights_finite else 'NOT FINITE'}",
                      flush=True)
    return 0 if finite else 1


if __name__ == "__main__":
    sys.exit(main())
