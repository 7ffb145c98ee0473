"""What whole-command tests share: a small data set on disk, and a way to run a command as a user would."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from utils.data.synthetic import write_synthetic_dataset

ROOT = Path(__file__).parents[1]

# How long a case takes says nothing beside other work. Those that read damaged files set a limit of their own.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# Sizes at which a run of a few epochs takes seconds.
SMALL = (
    "--config.NUM_EPOCHS=3", "--config.OUTPUT_DIMENSIONALITY=8", "--config.CKPT_EVERY=2",
    "--config.BASEARCH.TEMPORAL_STACKING_ARCH.conv_num_channels=16",
    "--config.ARCHITECTURE.MCN=true",
    "--config.ARCHITECTURE.head_layers=(16, 16)", "--config.ARCHITECTURE.attn_layers=(16, 16)",
    "--config.ARCHITECTURE.drop_layers=(16, 16)", "--config.GTCC_PARAMS.n_components=4",
    "--config.GTCC_PARAMS.anchors_per_video=6",
    "--config.FIT_PROGRESS=False",  # takes longer than the training; tests/test_fit_progress.py turns it on
)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_counts():
    """Ctrl-C does what it does in a terminal, here and in the processes that tests start.

    A shell without job control, as in a script, starts `command &` with SIGINT ignored; so would be the tests' own.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_synthetic_dataset(root / "synthetic", seed=0, tasks=2, videos=8)
    return root


@pytest.fixture(scope="session")
def run_command():
    """Runs a script of the project in a process of its own and returns what it did."""

    def run(*arguments, cwd=ROOT, timeout=300, check=False):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        script, *rest = arguments
        return subprocess.run(
            [sys.executable, str(ROOT / script), *map(str, rest)], cwd=cwd, env=environment, timeout=timeout,
            check=check, capture_output=True, text=True,
        )

    return run


def training_arguments(data_root, output, *overrides):
    return [
        "--config", str(ROOT / "configs" / "demo.py"), f"--config.DATASET_PATH={data_root}",
        f"--config.OUTPUT_FOLDER={output}", *SMALL, *overrides,
    ]
