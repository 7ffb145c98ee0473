"""Damaged and odd experiment files and command lines: a configuration that works, or one ConfigError.

python -m tests.fuzz_readers --cases 20000
"""

import contextlib
import math
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from configs.entry_config import read_command_line
from configs.generic_config import CONFIG
from configs.settings import SAFE_TO_CHANGE
from models.build_model import build_model
from tests.utils.data.mutation import fuzzing, mutated, note, odd_plain_values, odd_text
from utils.data.data_settings import read_data_settings
from utils.errors import ConfigError, DataError
from utils.loss_entry import get_loss_function, get_validation_loss_function

ROOT = Path(__file__).parents[2]
DEFAULTS = CONFIG.to_json()


def leaves(group, prefix=""):
    for key, value in group.items():
        if isinstance(value, (dict, ConfigDict)):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


LEAVES = dict(leaves(CONFIG))
GROUPS = sorted({key.rpartition(".")[0] for key in LEAVES} - {""})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("configs")


def check(arguments):
    """Reads a command line; what is accepted must be of the right types and usable by all that read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of the experiment file's text
        try:
            command = read_command_line(["train", *arguments])
        except ConfigError as refusal:
            note("refused")
            text = str(refusal)
            assert text
            assert "\n" not in text
            assert len(text) < 3000
            text.encode(errors="backslashreplace")
            return None
    note("loaded")
    config = command.config
    found = dict(leaves(config))
    assert found.keys() == LEAVES.keys()
    for key, value in found.items():
        assert type(value) is type(LEAVES[key]), key
        if isinstance(value, tuple) and LEAVES[key]:
            assert all(type(item) is type(LEAVES[key][0]) for item in value), key
        assert not isinstance(value, float) or math.isfinite(value), key
    assert set(SAFE_TO_CHANGE) <= found.keys()
    assert CONFIG.to_json() == DEFAULTS
    config.to_json()
    use(config)
    return config


def use(config):
    """Everything that reads settings: the data, the network, and the losses on two short videos."""
    plain = config.to_dict()
    with contextlib.suppress(DataError):
        read_data_settings(plain)
    with torch.device("meta"):
        model = build_model(plain, feature_width=3, number_of_tasks=2)
    assert model.frames_ahead >= 0
    torch.manual_seed(0)
    videos = [torch.randn(frames, 4, requires_grad=True) for frames in (5, 3)]
    outputs = {"outputs": videos, "dropouts": [torch.randn(5) for _ in videos], "attentions": []}
    times = [
        {"step": ["a", "SIL"], "start_frame": [0, 2], "end_frame": [1, len(video) - 1], "name": "v"} for video in videos
    ]
    totals = {"v": 2.0 if config.PROGRESS_LOSS.level == "video" else {"a": 2.0}}
    losses = get_loss_function(config)(outputs, 0, times_list=times, generator=torch.Generator(), totals=totals)
    losses["total_loss"].backward()
    validation = get_validation_loss_function(config)(outputs, 0, times_list=times, totals=totals)
    assert losses["total_loss"].shape == validation["total_loss"].shape == ()


def experiment(folder, body):
    path = folder / "experiment.py"
    lines = "".join(f"    {line}\n" for line in body)
    path.write_text(
        f"from configs.generic_config import get_generic_config\nnan, inf = float('nan'), float('inf')\n"
        f"def get_config():\n    CONFIG = get_generic_config()\n{lines}    return CONFIG\n",
        errors="surrogatepass",
    )
    return str(path)


@st.composite
def values_for(draw, key):
    """A value for a setting: near its default, or anything."""
    default = LEAVES.get(key)
    near = {
        bool: st.booleans(), int: st.integers(-1, 40), float: st.floats(-0.5, 2, width=16),
        str: st.sampled_from([
            str(default), "video", "action", "single", "all", "per_frame", "interleaved", "squared", "euclidean",
            "naive", "resnet50", "temporal_stacking", "none", "proportional", "features_first", "cpu",
        ]),
        tuple: st.lists(st.sampled_from(default) if default else st.just("tea"), max_size=3).map(tuple),
    }.get(type(default), st.nothing())  # fmt: skip
    return draw(near) if default is not None and draw(st.integers(0, 4)) else draw(odd_plain_values)


keys = st.sampled_from(sorted(LEAVES)) | st.sampled_from(GROUPS)


@st.composite
def assignments(draw):
    """Lines of an experiment file: single settings, and nested dicts for groups."""
    lines = []
    for _ in range(draw(st.integers(1, 4))):
        key = draw(keys)
        if draw(st.booleans()) and "." in key:
            # As a nested dict, deepest group first.
            *groups, last = key.split(".")
            value = repr({last: draw(values_for(key))})
            for name in reversed(groups[1:]):
                value = f"{{{name!r}: {value}}}"
            lines.append(f"CONFIG.{groups[0]} = {value}")
        elif draw(st.integers(0, 9)):
            lines.append(f"CONFIG.{key} = {draw(values_for(key))!r}")
        else:
            lines.append(f"CONFIG[{draw(odd_text)!r}] = {draw(odd_plain_values)!r}")
    return lines


@fuzzing
@given(assignments())
@example(["CONFIG.NUM_EPOCHS = None"])
@example(["CONFIG.LAV_PARAMS.alpha = -1"])
@example(["CONFIG.LOSS_TYPE = {'x': True}"])
@example(["CONFIG.CUSTOM_LOSSES = {'keys': 'a:b'}"])
@example(["CONFIG.CUSTOM_LOSSES = {'x': 'a:b'}", "CONFIG.CUSTOM_LOSS_PARAMS = {'x': {'p': None}}"])
@example(["CONFIG.CUSTOM_LOSSES = {'x': {'y': {}}}"])
@example(["CONFIG.BASEARCH.TEMPORAL_STACKING_ARCH.num_layers = 10**6"])
def test_experiment_files_with_any_values(folder, lines):
    check(["--config", experiment(folder, lines)])


@st.composite
def overrides(draw):
    argument = []
    for _ in range(draw(st.integers(1, 3))):
        key = draw(keys) if draw(st.integers(0, 5)) else draw(odd_text)
        value = draw(values_for(key))
        dashes, no = draw(st.sampled_from(["--", "--", "--", "-", "---"])), draw(st.sampled_from(["", "", "", "no"]))
        text = value if isinstance(value, str) and draw(st.booleans()) else repr(value)
        if draw(st.integers(0, 9)):
            argument.append(f"{dashes}{no}config.{key}={text}")
        else:
            argument += draw(st.sampled_from([[f"--config.{key}", text], [f"--config.{key}"], [text], ["--", text]]))
    return argument


@fuzzing
@given(overrides())
@example(["--config.TASKS=" + "(" * 5000])
@example(["--config.SEED=99999999999"])
@example(["--flagfile=/dev/zero"])
def test_command_lines_with_any_text(folder, arguments):
    check(["--config", experiment(folder, ["CONFIG.NUM_EPOCHS = 2"]), *arguments])


@fuzzing
@given(st.data())
def test_changed_experiment_files(folder, data):
    sources = sorted((ROOT / "configs").glob("*.py"))
    named = [path for path in sources if "def get_config()" in path.read_text() and path.stem != "generic_config"]
    path = folder / "changed.py"
    path.write_bytes(data.draw(mutated(data.draw(st.sampled_from(named)).read_bytes())))
    check(["--config", str(path)])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no function get_config"),
        (b"get_config = 3", "no function get_config"),
        (b"def get_config(): pass", "returns None"),
        (b"def get_config(): return 3", "returns 3"),
        (b"def get_config(name): return {}", "line 1|missing 1 required positional argument"),
        (b"\ndef get_config():\n    return 1 / 0", "line 3: ZeroDivisionError"),
        (b"import sys\nsys.exit(0)", "line 2: SystemExit"),
        (b"import absent_module", "line 1: ModuleNotFoundError.*absent_module"),
        (b"x = = 3", "line 1: SyntaxError"),
        (b"def f(): f()\nf()", "RecursionError"),
        (b"\x7fELF\x00\x00\x01", "SyntaxError|ValueError"),
        ("x = 'é'".encode("utf-16"), "SyntaxError|ValueError"),
        (b"x = '\xff'", "SyntaxError"),
        (b"raise ValueError('a\\nb')", "line 1: ValueError: a b"),
        (b"def get_config(): return {'NUM_EPOCHS': 0}", "NUM_EPOCHS is 0"),
    ],
)
def test_files_that_cannot_be_run_are_one_line_with_file_and_place(tmp_path, content, complaint):
    path = tmp_path / "experiment.py"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as refusal:
        read_command_line(["train", "--config", str(path)])
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value) or "NUM_EPOCHS" in complaint


def test_what_is_no_file_and_what_is_given_twice(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_command_line(["train", "--config", str(tmp_path)])
    path = experiment(tmp_path, [])
    with pytest.raises(ConfigError, match="2 experiment files"):
        read_command_line(["train", "--config", path, f"--config={path}"])
    for argument in ("--config=", "--config"):
        with pytest.raises(ConfigError, match="--config"):
            read_command_line(["train", argument])


def test_a_file_that_changed_within_a_second_is_read_anew(tmp_path):
    for epochs in (3, 4):
        path = experiment(tmp_path, [f"CONFIG.NUM_EPOCHS = {epochs}"])
        config = read_command_line(["train", "--config", path]).config
        assert epochs == config.NUM_EPOCHS


def test_values_that_a_checkpoint_cannot_hold_become_plain(tmp_path):
    """numpy's float is one of Python's, passes for one, and would make last.pt unreadable."""
    path = experiment(
        tmp_path, ["import numpy", "CONFIG.LEARNING_RATE = numpy.float64(0.001)", "CONFIG.WEIGHT_DECAY = 0"]
    )
    config = read_command_line(["train", "--config", path]).config
    assert type(config.LEARNING_RATE) is float
    assert type(config.WEIGHT_DECAY) is float


def test_a_tuple_that_a_file_emptied_takes_its_own_kind_again(tmp_path):
    path = experiment(tmp_path, ["CONFIG.ARCHITECTURE.head_layers = ()"])
    config = read_command_line(["train", "--config", path, "--config.ARCHITECTURE.head_layers=(8, 4)"]).config
    assert config.ARCHITECTURE.head_layers == (8, 4)
    with pytest.raises(ConfigError, match=r"ARCHITECTURE\.head_layers\[0\] is 'wide'; expected a whole number"):
        read_command_line(["train", "--config", path, "--config.ARCHITECTURE.head_layers=('wide',)"])
