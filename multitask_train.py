"""Trains an alignment network on procedural videos.

    python multitask_train.py --config configs/demo.py
    python multitask_train.py --config configs/salads50_accel.py --config.PROGRESS_LOSS.level=action
    python multitask_train.py --config configs/gtea.py --check
    python multitask_train.py --config configs/demo.py --resume auto
    torchrun --nproc-per-node 2 multitask_train.py --config configs/demo.py
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from utils.command import leave, run_command

logger = logging.getLogger("multitask_train")


def main(arguments: Sequence[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0

    # Imported here, so that --help answers at once: torch alone takes a second.
    from configs.entry_config import read_command_line
    from models.alignment_training_loop import AlignmentTraining
    from models.build_model import build_model
    from utils.data.dataset import load_data
    from utils.loss_entry import require_labels
    from utils.loss_functions.alignment_terms import alignment_terms
    from utils.prediction.progress_files import fit_progress_of_run
    from utils.training.processes import join_processes, local_rank
    from utils.training.reproducibility import choose_device, seed_everything
    from utils.training.run_folder import open_run
    from utils.training.tensorboard import require_tensorboard
    from utils.video.data_set import make_missing_features, missing_features

    command = read_command_line(arguments)
    config = command.config
    alignment_terms(config)  # a loss that can't be used is refused before the data is read
    if config.TENSORBOARD:
        require_tensorboard()

    if command.check and (missing := missing_features(config.to_dict())) and missing.recordings:
        print(missing.words())
        return 0
    make_missing_features(config.to_dict())
    data = load_data(config.to_dict(), with_warnings=True, log=not command.check)
    require_labels(config, data.unlabelled_tasks)
    if command.check:
        print(data.summary())
        return 0
    if data.feature_kind is not None:
        config.FRAME_RATE = data.feature_kind.frame_rate

    seed_everything(config.SEED)
    device = choose_device(config.DEVICE, local_rank())
    model = build_model(config.to_dict(), data.feature_width, len(data.train.tasks)).to(device)

    with join_processes(device) as processes, open_run(command.resume, config, processes) as (run, checkpoint):
        training = AlignmentTraining(model, data, config, run, device, processes)
        if checkpoint is not None:
            training.resume(checkpoint)
        training.run_to_the_end()
        if processes.is_main:
            fit_progress_of_run(run, data, config.to_dict(), device)
    logger.info("evaluate with: python eval.py --folder %s --checkpoint best_model_combined.pt", run)
    return 0


if __name__ == "__main__":
    leave(run_command(main, sys.argv, "OUTPUT_FOLDER"))
