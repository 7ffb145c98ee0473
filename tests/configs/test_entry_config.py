"""Configuration: merging, typed overrides, and refusals that name the key."""

import sys
from pathlib import Path

import pytest

from configs.entry_config import load_experiment, read_command_line
from configs.generic_config import CONFIG, get_generic_config
from utils.errors import ConfigError

ROOT = Path(__file__).parents[2]
DEMO = f"--config={ROOT / 'configs' / 'demo.py'}"


def write_experiment(tmp_path, body):
    lines = [
        "from configs.generic_config import get_generic_config",
        "def get_config():",
        "    CONFIG = get_generic_config()",
        *(f"    {line}" for line in body.splitlines()),
        "    return CONFIG",
    ]
    path = tmp_path / "experiment.py"
    path.write_text("\n".join(lines))
    return f"--config={path}"


def test_plan_configuration_example_works_as_written(tmp_path):
    experiment = write_experiment(
        tmp_path,
        """CONFIG.LOSS_TYPE = {
    'GTCC': True,
    'tcc': False,
    'LAV': False,
    'VAVA': False,
}

CONFIG.PROGRESS_LOSS = {
    'enabled': True,
    'level': 'video',           # or 'action'
    'lambda_fixed': 0.1,
    'lambda_curriculum': {
        'enabled': True,        # Use curriculum instead of fixed
        'start': 0.01,
        'end': 0.5,
    },
}""",
    )
    config = read_command_line(["train", experiment]).config
    assert config.PROGRESS_LOSS.to_dict() == {
        "enabled": True,
        "level": "video",
        "lambda_fixed": 0.1,
        "frames": "single",
        "normalizer": "own",
        "lambda_curriculum": {"enabled": True, "start": 0.01, "end": 0.5},
    }


def test_partial_dict_merges_at_every_depth_and_leaves_the_defaults_alone(tmp_path):
    before = CONFIG.to_json()
    config = get_generic_config()
    config.PROGRESS_LOSS = {"lambda_curriculum": {"end": 0.7}}
    config.BASEARCH.TEMPORAL_STACKING_ARCH = {"conv_num_channels": 8}
    assert config.PROGRESS_LOSS.lambda_curriculum.to_dict() == {"enabled": False, "start": 0.0, "end": 0.7}
    assert config.PROGRESS_LOSS.lambda_fixed == 0.1
    assert (
        config.BASEARCH.TEMPORAL_STACKING_ARCH.temporal_depth
        == CONFIG.BASEARCH.TEMPORAL_STACKING_ARCH.temporal_depth
    )
    assert CONFIG.to_json() == before


def test_override_can_reach_a_key_that_a_partial_dict_left_out(tmp_path):
    experiment = write_experiment(tmp_path, "CONFIG.PROGRESS_LOSS = {'enabled': True}")
    config = read_command_line(["train", experiment, "--config.PROGRESS_LOSS.frames=all"]).config
    assert (config.PROGRESS_LOSS.enabled, config.PROGRESS_LOSS.frames) == (True, "all")


def test_overrides_are_typed():
    config = read_command_line(
        [
            "train",
            DEMO,
            "--config.NUM_EPOCHS=3",
            "--config.PROGRESS_LOSS.level=action",
            "--config.LEARNING_RATE=1e-5",
            "--config.TASKS=('a', 'b')",
            "--config.PROGRESS_LOSS.lambda_curriculum.end=2",
        ]
    ).config
    assert config.NUM_EPOCHS == 3
    assert config.PROGRESS_LOSS.level == "action"
    assert config.LEARNING_RATE == 1e-5
    assert config.TASKS == ("a", "b")
    assert config.PROGRESS_LOSS.lambda_curriculum.end == 2.0


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("--config.NUM_EPOCH=3", ["NUM_EPOCH", "NUM_EPOCHS"]),
        ("--config.PROGRESS_LOSS.lamda_fixed=3", ["PROGRESS_LOSS.lamda_fixed", "PROGRESS_LOSS.lambda_fixed"]),
        ("--config.num_epochs=3", ["num_epochs", "NUM_EPOCHS"]),
        ("--config.NUM_EPOCHS.deeper=3", ["NUM_EPOCHS.deeper"]),
        ("--config.NUM_EPOCHS=many", ["NUM_EPOCHS", "many"]),
        ("--config.NUM_EPOCHS=2.5", ["NUM_EPOCHS", "2.5"]),
        ("--config.PROGRESS_LOSS.enabled=perhaps", ["PROGRESS_LOSS.enabled", "perhaps"]),
        ("--config.PROGRESS_LOSS.level=frame", ["PROGRESS_LOSS.level", "frame", "video"]),
        ("--config.PROGRESS_LOSS.frames=some", ["PROGRESS_LOSS.frames", "all"]),
        ("--config.PROGRESS_LOSS.lambda_fixed=-1", ["PROGRESS_LOSS.lambda_fixed", "-1"]),
        ("--config.PROGRESS_LOSS.lambda_fixed=nan", ["PROGRESS_LOSS.lambda_fixed", "nan"]),
        ("--config.PROGRESS_LOSS.lambda_curriculum.end=inf", ["lambda_curriculum.end", "inf"]),
        ("--config.LOSS_TYPE.tcc=false", ["LOSS_TYPE"]),
        ("--config.CUSTOM_LOSSES=my_losses:mine", ["CUSTOM_LOSSES", "group", "the experiment file gives it none"]),
        ("--config.CUSTOM_LOSSES.mine=my_losses:mine", ["CUSTOM_LOSSES.mine"]),
        ("--config.BATCH_SIZE=1", ["BATCH_SIZE", "2 or more"]),
        ("--config.SKIP_RATE=0", ["SKIP_RATE"]),
        ("--config.LEARNING_RATE=0", ["LEARNING_RATE"]),
        ("--config.TRAIN_SPLIT=(1.5, 0.5)", ["TRAIN_SPLIT"]),
        ("--config.DATASET_NAME=../elsewhere", ["DATASET_NAME"]),
        ("--config.DEVICE=tpu", ["DEVICE", "cuda"]),
        ("--config.ANNOTATION_SCALING=yes", ["ANNOTATION_SCALING"]),
        ("--config.BASEARCH.ARCHITECTURE=vit", ["BASEARCH.ARCHITECTURE", "resnet50"]),
        ("--config.GTCC_PARAMS.similarity=cosine", ["GTCC_PARAMS.similarity", "euclidean"]),
        ("--config.GTCC_PARAMS.normalization=frames", ["GTCC_PARAMS.normalization", "unit"]),
        ("--config.GTCC_PARAMS.reciprocal=paper", ["GTCC_PARAMS.reciprocal", "frame"]),
        ("--chek", ["chek", "check"]),
        ("surplus", ["surplus"]),
    ],
)
def test_refusals_name_the_key_and_what_was_expected(override, named):
    with pytest.raises(ConfigError) as refusal:
        read_command_line(["train", DEMO, override])
    assert "\n" not in str(refusal.value)
    for name in named:
        assert name in str(refusal.value)


def test_frames_that_are_dropped_need_the_drop_network():
    with pytest.raises(ConfigError, match=r"ARCHITECTURE\.dropping is False.*GTCC_PARAMS\.gamma < 1"):
        read_command_line(
            ["train", DEMO, "--config.LOSS_TYPE.GTCC=true", "--config.ARCHITECTURE.dropping=false",
             "--config.GTCC_PARAMS.gamma=0.95"]
        )


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("CONFIG.LOSS_TYP = {}", ["LOSS_TYP", "LOSS_TYPE"]),
        (
            "CONFIG.PROGRESS_LOSS = {'lambda_curriculum': {'strat': 1}}",
            ["lambda_curriculum", "strat", "start"],
        ),
        ("CONFIG.PROGRESS_LOSS = 3", ["PROGRESS_LOSS", "group"]),
        ("CONFIG.NUM_EPOCHS = 'ten'", ["NUM_EPOCHS", "ten"]),
    ],
)
def test_mistakes_in_an_experiment_file_are_named(tmp_path, body, named):
    with pytest.raises(ConfigError) as refusal:
        read_command_line(["train", write_experiment(tmp_path, body)])
    for name in named:
        assert name in str(refusal.value)


def test_missing_file_and_missing_flag():
    with pytest.raises(ConfigError, match=r"absent\.py does not exist"):
        read_command_line(["train", "--config", "absent.py"])
    with pytest.raises(ConfigError, match="--config"):
        read_command_line(["train"])


def experiment_files():
    return [
        path
        for path in sorted((ROOT / "configs").glob("*.py"))
        if "def get_config()" in path.read_text() and path.stem != "generic_config"
    ]


@pytest.mark.parametrize("path", experiment_files(), ids=lambda path: path.stem)
def test_every_experiment_file_loads(path):
    config = read_command_line(["train", "--config", str(path)]).config
    assert path.stem == config.EXPERIMENTNAME
    assert path.stem in path.read_text().split('"""')[1], "the file begins with the command that runs it"


def test_an_experiment_file_may_hold_a_dataclass(tmp_path):
    """Dataclasses look their module up where Python keeps the imported ones."""
    path = tmp_path / "experiment.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Rate:\n    value: float = 0.5\n"
        "def get_config():\n    return {'LEARNING_RATE': Rate().value}\n"
    )
    modules = set(sys.modules)
    assert load_experiment(str(path)).LEARNING_RATE == 0.5
    assert set(sys.modules) == modules
