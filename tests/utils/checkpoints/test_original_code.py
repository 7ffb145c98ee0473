import os
import pickle
import random
import sys
import types
import zipfile
from collections import OrderedDict
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.build_model import build_model
from tests.real_data import data_root
from tests.utils.data.mutation import EXAMPLES, note
from utils.checkpoints.content import checked_content
from utils.checkpoints.original_code import translated_checkpoint
from utils.checkpoints.reading import read_archive
from utils.ckpt_save import load_model
from utils.errors import CheckpointError

FEATURES, WIDTH, CHANNELS, HEADS = 5, 4, 6, 3
DROP_LAYERS, ATTENTION_LAYERS = [7, 6], [8]


class EasyDict(dict):
    """Pickles as the package of that name does: items, and the same again as attributes."""

    def __init__(self, items=()):
        super().__init__(items)
        self.__dict__.update(self)


EasyDict.__module__ = "easydict"


class RunsCode:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def read(path):
    return translated_checkpoint(path, read_archive(path).content)


def layers(prefix, widths):
    weights = {}
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        weights[f"{prefix}.{2 * index}.weight"] = torch.randn(outputs, inputs) / inputs**0.5
        weights[f"{prefix}.{2 * index}.bias"] = torch.randn(outputs)
    return weights


def original_content(crosstask=True):
    base = "base_model." if crosstask else ""
    widths = [FEATURES, CHANNELS, *[WIDTH] * 6]
    weights = OrderedDict()
    for layer in range(7):
        shape = (widths[layer + 1], widths[layer], 3 if layer else 2)
        weights[f"{base}convolutional_layers.{2 * layer}.weight"] = torch.randn(shape) / widths[layer] ** 0.5
    if crosstask:
        for head in range(HEADS):
            weights.update(layers(f"head_models.{head}.fc_layers", [WIDTH, 512, 128, 256, WIDTH]))
        weights.update(layers("attention_layer", [HEADS * WIDTH, *ATTENTION_LAYERS, HEADS]))
    weights.update(layers("dropout", [WIDTH, *DROP_LAYERS, WIDTH + 1]))
    stacking = {
        "temporal_depth": 2,
        "conv_num_channels": CHANNELS,
        "input_dimensions": FEATURES,
        "output_dimensions": WIDTH,
        "drop_layers": DROP_LAYERS,
    }
    config = {
        "DATASET_NAME": "egoprocel",
        "DATAFOLDER": "data/egoprocel",
        "BASEARCH": EasyDict(
            {"ARCHITECTURE": "temporal_stacking", "TEMPORAL_STACKING_ARCH": EasyDict(stacking)}
        ),
        "ARCHITECTURE": EasyDict(
            {
                "MCN": crosstask,
                "drop_layers": DROP_LAYERS,
                "attn_layers": ATTENTION_LAYERS,
                "num_heads": None,
            }
        ),
        "LOSS_TYPE": EasyDict({"tcc": True, "GTCC": True, "LAV": False, "VAVA": False}),
        "TCC_ORIGINAL_PARAMS": EasyDict({"softmax_temp": 0.3, "alignment_variance": 1}),
        "GTCC_PARAMS": EasyDict({"n_components": 7, "gamma": 0.9}),
        "LAV_PARAMS": EasyDict({"min_temp": 0.2}),
        "SKIP_RATE": None,
        "OUTPUT_DIMENSIONALITY": WIDTH,
        "TRAIN_SPLIT": [0.6, 0.4],
        "BATCH_SIZE": 2,
        "LEARNING_RATE": 0.002,
        "NUM_EPOCHS": 3,
        "EXPERIMENTNAME": "theirs",
    }
    return {
        "config": EasyDict(config),
        "epoch": 2,
        "loss": 1.5,
        "model_state_dict": weights,
        "optimizer_state_dict": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": []},
    }


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes what the original code would have; easydict is there while writing only."""

    def write_content(content, name="best_model.pt", **options):
        with monkeypatch.context() as patch:
            module = types.ModuleType("easydict")
            module.EasyDict = EasyDict
            patch.setitem(sys.modules, "easydict", module)
            torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    torch.manual_seed(0)
    return write_content


def build(checkpoint):
    model = build_model(checkpoint["config"], checkpoint["feature_width"], len(checkpoint["tasks"]))
    model.load_state_dict(checkpoint["model_state_dict"], strict=True)
    return model.eval()


def run_layers(weights, prefix, hidden, activation):
    names = [name for name in weights if name.startswith(prefix + ".") and name.endswith("weight")]
    for index, name in enumerate(names):
        hidden = activation(hidden) if index else hidden
        hidden = functional.linear(hidden, weights[name], weights[name.replace("weight", "bias")])
    return hidden


def run_original(weights, video, crosstask):
    """What the original network computes from its own weights: outputs, attentions, dropouts."""
    base = "base_model." if crosstask else ""
    hidden = video.t()[None]
    for layer in range(7):
        hidden = hidden.relu() if layer else hidden
        kernel = weights[f"{base}convolutional_layers.{2 * layer}.weight"]
        hidden = functional.conv1d(functional.pad(hidden, (1 if layer else 0, 1)), kernel)
    outputs, attentions = hidden[0].t(), None
    if crosstask:
        heads = [f"head_models.{head}.fc_layers" for head in range(HEADS)]
        prongs = torch.stack([run_layers(weights, head, outputs, torch.relu) for head in heads])
        rows = prongs.view(len(video), -1)
        attentions = run_layers(weights, "attention_layer", rows, torch.tanh).softmax(dim=1)
        outputs = (attentions.t()[..., None] * prongs).sum(dim=0)
    return outputs, attentions, run_layers(weights, "dropout", outputs, torch.relu).mean(dim=0)


@pytest.mark.parametrize("crosstask", [True, False])
def test_computes_what_the_original_computes(write, crosstask):
    content = original_content(crosstask)
    path = write(content)
    assert read_archive(path).of_original_code
    videos = [torch.randn(frames, FEATURES) for frames in (11, 6)]
    with torch.no_grad():
        result = build(read(path))(videos)
        assert len(result["attentions"]) == (2 if crosstask else 0)
        for index, video in enumerate(videos):
            outputs, attentions, dropouts = run_original(content["model_state_dict"], video, crosstask)
            torch.testing.assert_close(result["outputs"][index], outputs)
            torch.testing.assert_close(result["dropouts"][index], dropouts)
            if crosstask:
                torch.testing.assert_close(result["attentions"][index], attentions)
    assert "easydict" not in sys.modules


@pytest.mark.parametrize("folder", ["mcn_tstack_gtcc", "tstack_gtcc_dropping"])
def test_recorded_outputs_of_the_original_code(folder):
    folder = data_root() / "legacy_checkpoints" / folder
    if not folder.is_dir():
        pytest.skip(f"no checkpoints of the original code under {data_root()} (set ALIGNMENT_DATA)")
    path = next(iter(sorted((folder / "ckpt").glob("*.pt"))))
    assert read_archive(path).of_original_code
    videos = [torch.from_numpy(np.load(folder / f"input{index}.npy")) for index in range(2)]
    model = build(read(path))
    with torch.no_grad():
        result = model(videos)
    for key in ("outputs", "attentions", "dropouts"):
        recorded = sorted(folder.glob(f"{key}*.npy"))
        assert len(recorded) == len(result[key])
        for file, ours in zip(recorded, result[key], strict=True):
            assert np.abs(np.load(file) - ours.numpy()).max() < 1e-6
    if result["attentions"]:
        # The layout decides: read by frame, the same weights give other attentions.
        model.attention_layout = "per_frame"
        with torch.no_grad():
            by_frame = model(videos)["attentions"]
        assert (by_frame[0] - result["attentions"][0]).abs().max() > 1e-4


def test_translated_checkpoint(write):
    checkpoint = read(write(original_content()))
    config = checkpoint["config"]
    assert type(config) is dict
    assert (checkpoint["epoch"], checkpoint["loss"], checkpoint["feature_width"]) == (2, 1.5, FEATURES)
    assert (checkpoint["tasks"], checkpoint["optimizer_state_dict"]) == ([], None)
    assert (checkpoint["standardization"], checkpoint["progress_normalizers"]) == (None, {})
    assert config["ARCHITECTURE"] == {
        "skip": False,
        "skip_means": (),
        "MCN": True,
        "num_heads": HEADS,
        "head_layers": (512, 128, 256),
        "attn_layers": tuple(ATTENTION_LAYERS),
        "attention_layout": "interleaved",
        "dropping": True,
        "drop_layers": tuple(DROP_LAYERS),
    }
    assert config["TCC_ORIGINAL_PARAMS"]["softmax_temp"] == 0.3
    assert config["TCC_ORIGINAL_PARAMS"]["alignment_variance"] == 1.0
    assert config["GTCC_PARAMS"]["n_components"] == 7
    assert config["TCC_ORIGINAL_PARAMS"]["normalization"] == "none"
    as_in_the_paper = {
        "softmax_temp": 0.1, "soft_neighbours": "components", "normalization": "none", "reciprocal": "frame",
    }  # fmt: skip
    assert as_in_the_paper.items() <= config["GTCC_PARAMS"].items()
    assert config["LOSS_TYPE"] == {"tcc": True, "GTCC": True, "LAV": False, "VAVA": False, "VAOT": False}
    assert (config["SKIP_RATE"], config["TRAIN_SPLIT"], config["CAUSAL"]) == (1, (0.6, 0.4), False)
    assert (config["LEARNING_RATE"], config["NUM_EPOCHS"], config["BATCH_SIZE"]) == (0.002, 3, 2)
    assert (config["DATASET_NAME"], config["EXPERIMENTNAME"]) == ("egoprocel", "theirs")
    assert config["PROGRESS_LOSS"]["enabled"] is False


def test_without_drop_network(write):
    content = original_content()
    for name in [name for name in content["model_state_dict"] if name.startswith("dropout.")]:
        del content["model_state_dict"][name]
    assert build(read(write(content)))([torch.randn(4, FEATURES)])["dropouts"] == []


@pytest.mark.parametrize("place", ["config", "epoch", "model_state_dict", "optimizer_state_dict", "surplus"])
def test_pickle_that_runs_code_is_refused_and_runs_nothing(write, tmp_path, monkeypatch, place):
    content = original_content()
    content[place] = RunsCode(tmp_path / "ran")
    path = write(content)
    with pytest.raises(CheckpointError, match=r"best_model\.pt.*mkdir.*nothing was run"):
        read(path)
    assert not (tmp_path / "ran").exists()
    # The trap works: what unpickles it springs it.
    monkeypatch.setitem(sys.modules, "easydict", types.SimpleNamespace(EasyDict=EasyDict))
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


def read_or_refusal(path):
    """The checkpoint, or None where it is refused by an error that names the file."""
    try:
        checkpoint = checked_content(path, read(path), of_original_code=True)
    except CheckpointError as error:
        if str(path) not in str(error):
            raise
        note("refused")
        return None
    note("loaded")
    return checkpoint


def edited_pickle(path, edit):
    """The archive at `path` with its pickle's bytes edited."""
    edited = path.with_name("edited.pt")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(edited, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, edit(content) if name.endswith("data.pkl") else content)
    return edited


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "os.system"),
        (b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.", "builtins.eval"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v3\n.", "_rebuild_tensor_v3"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "protocol 4"),
        (b"\x80\x02\x8c\x02os\x8c\x06system\x93.", "something else than plain values"),
        (b"\x80\x02ios\nsystem\n.", "broken"),
        (b"\x80\x02(ios\nsystem\n.", "something else than plain values"),
        (b"\x80\x02ccollections\nOrderedDict\n}b.", "something else than plain values"),
        (b"\x80\x02ccollections\nOrderedDict\n.", "of type builtins.type"),
        (b"\x80\x02ctorch\nFloatStorage\n.", "StorageType"),
        (b"\x80\x02X\x01\x00\x00\x00a)R.", "calls something"),
        (b"\x80\x02]q\x00h\x00a)R.", "calls something"),
        (b"\x80\x02ccollections\nOrderedDict\n(K\x01tR.", "broken"),
        (b"\x80\x02ctorch\nFloatStorage\n(K\x01tR.", "broken"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "broken"),
        (b"\x80\x02ctorch._utils\n_rebuild_qtensor\n)R.", "_rebuild_qtensor"),
        (b"\x80\x02ctorch\nFloatTensor\n\x8a\x05\x00\x00\x00\x00\x01\x85R.", "torch.FloatTensor"),
        (b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x01\x85R.", "builtins.bytearray"),
        (b"\x80\x02}(K\x01\x85K\x02u.", r"the key \(1,\); expected text"),
        (b"\x80\x02}N K\x02s.".replace(b" ", b""), "the key None; expected text"),
        (b"\x80\x02]K\x01K\x02s.", "something else than plain values"),
        (b"\x80\x02K\x01Q.", "broken"),
        (b"\x80\x02h\x07.", "broken"),
        (b"\x80\x02u.", "broken"),
        (b"\x80\x02.", "broken"),
        (b"\x80\x02a.", "broken"),
        (b"\x80\x02}", "broken"),
        (b"", "broken"),
        (b"\x80\x02X\xff\xff\xff\xffab", "broken"),
        (b"\x80\x02]q\x00h\x00a.", "nested too deeply"),
        (b"\x80\x02]q\x00(h\x00h\x00e.", "nested too deeply"),
        (b"\x80\x02}r\xff\xff\xff\xff.", "config is missing"),
        (b"\x80\x02)" + b"\x85" * 200_000 + b".", "too large or nested too deeply"),
        # As keys these would be hashed: Python's own stack runs out, or it takes 2 ** 80 steps.
        (b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s.", "too large or nested too deeply"),
        (b"\x80\x02}K\x01" + b"q\x00h\x00\x86" * 80 + b"K\x01s.", "too large or nested too deeply"),
    ],
)
def test_made_up_pickles(write, code, complaint):
    path = edited_pickle(write({"a": 1}), lambda _: code)
    with pytest.raises(CheckpointError, match=complaint):
        read(path)


def test_truncated_file(write):
    path = write(original_content())
    whole = path.read_bytes()
    for length in [0, 1, 100, len(whole) // 2, len(whole) - 1000, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"best_model\.pt is (truncated|no checkpoint)"):
            read(path)


def test_mutated_files_load_the_same_or_fail_clearly(write):
    path = write(original_content(crosstask=False))
    whole = path.read_bytes()
    expected = read(path)["model_state_dict"]
    chance = random.Random(EXAMPLES)
    refused = 0
    for _ in range(max(400, EXAMPLES)):
        mutated = bytearray(whole)
        for _ in range(chance.choice([1, 4, 30])):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        path.write_bytes(mutated)
        checkpoint = read_or_refusal(path)
        refused += checkpoint is None
        weights = expected if checkpoint is None else checkpoint["model_state_dict"]
        assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert refused > 100


def test_mutated_pickles_load_or_fail_clearly(write):
    """As above with the archive's checksums right, so that the pickle itself is what is broken."""
    path = write(original_content(crosstask=False))
    chance = random.Random(EXAMPLES)

    def mutate(content):
        mutated = bytearray(content)
        for _ in range(chance.choice([1, 2, 8])):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        return bytes(mutated)

    refused = 0
    for _ in range(max(150, EXAMPLES)):
        checkpoint = read_or_refusal(edited_pickle(path, mutate))
        refused += checkpoint is None
        if checkpoint is not None:
            assert load_model(checkpoint)([torch.randn(3, FEATURES)])["outputs"][0].shape == (3, WIDTH)
    assert refused > 30


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda weights: weights.pop("dropout.2.bias"), r"missing weights: dropout\.2\.bias"),
        (lambda weights: weights.pop("head_models.0.fc_layers.4.bias"), r"missing.*models\.0\.fc_layers\.4"),
        (lambda weights: weights.pop("base_model.convolutional_layers.12.weight"), r"missing.*layers\.12"),
        (lambda weights: weights.update({"extra.weight": torch.ones(2)}), r"surplus weights: extra\.weight"),
        (lambda weights: weights.update({"dropout.6.weight": torch.ones(2, 2)}), r"dropout\.6\.weight is \(2, 2\)"),
        (lambda weights: weights.update({"dropout.3.weight": torch.ones(2, 2)}), r"surplus weights: dropout\.3"),
        (lambda weights: weights.update({"dropout.998.weight": torch.ones(2, 2)}), r"dropout has the layer 998"),
        (lambda weights: weights.update({7: torch.ones(2, 2)}), "surplus weights: 7"),
        (lambda weights: weights.update({"dropout.0.bias": torch.ones(9)}), r"dropout\.0\.bias is \(9,\)"),
        (lambda weights: weights.update({"dropout.0.bias": torch.ones(7).long()}), "floating-point"),
        (lambda weights: weights.update({"dropout.0.bias": [0.0] * 7}), "floating-point"),
        (lambda weights: weights.clear(), "missing weights"),
    ],
)
def test_weights_that_do_not_fit(write, edit, complaint):
    content = original_content()
    edit(content["model_state_dict"])
    with pytest.raises(CheckpointError, match=complaint):
        read(write(content))


def test_a_whole_head_missing(write):
    content = original_content()
    for name in [name for name in content["model_state_dict"] if name.startswith("head_models.2.")]:
        del content["model_state_dict"][name]
    with pytest.raises(CheckpointError, match=r"attention_layer\.0\.weight is \(8, 12\).*\(any, 8\)"):
        read(write(content))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("BASEARCH.ARCHITECTURE", "naive", "cannot run forward at all: its layer sizes don't chain"),
        ("BASEARCH.ARCHITECTURE", "transformer", "only those of 'temporal_stacking' and 'resnet50'"),
        ("BASEARCH.ARCHITECTURE", "resnet50", r"missing weights: base_model\.conv_embedding\.0\.weight"),
        ("BASEARCH.ARCHITECTURE", 7, "BASEARCH.ARCHITECTURE is 7"),
        ("ARCHITECTURE.MCN", False, r"missing weights: convolutional_layers\.0\.weight"),
        ("ARCHITECTURE.MCN", 1, "MCN"),
        ("TRAIN_SPLIT", [0.5], "TRAIN_SPLIT"),
        ("LEARNING_RATE", "fast", "LEARNING_RATE"),
        ("LOSS_TYPE.GTCC", 1.0, "LOSS_TYPE.GTCC"),
        ("DATASET_NAME", 3, "DATASET_NAME is 3"),
        ("TCC_ORIGINAL_PARAMS.softmax_temp", "warm", "softmax_temp is 'warm'"),
        ("SKIP_RATE", 1 << 70, "SKIP_RATE"),
    ],
)
def test_configuration_that_does_not_fit(write, key, value, complaint):
    content = original_content()
    *groups, name = key.split(".")
    group = content["config"]
    for part in groups:
        group = group[part]
    group[name] = value
    with pytest.raises(CheckpointError, match=complaint):
        read(write(content))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("BASEARCH.TEMPORAL_STACKING_ARCH.conv_num_channels", 99),
        ("BASEARCH.TEMPORAL_STACKING_ARCH.input_dimensions", 1 << 70),
        ("BASEARCH.TEMPORAL_STACKING_ARCH.temporal_depth", None),
        ("ARCHITECTURE.attn_layers", [8, 8]),
        ("ARCHITECTURE.attn_layers", "8"),
        ("ARCHITECTURE.drop_layers", [7, -1]),
        ("ARCHITECTURE.drop_layers", [1] * 1000),
        ("ARCHITECTURE.num_heads", 77),
        ("OUTPUT_DIMENSIONALITY", 5),
        ("LAV_PARAMS.min_temp", "off, so never read"),
    ],
)
def test_sizes_come_from_the_weights_and_what_is_off_does_not_matter(write, key, value):
    content = original_content()
    expected = read(write(content))
    *groups, name = key.split(".")
    group = content["config"]
    for part in groups:
        group = group[part]
    group[name] = value
    checkpoint = read(write(content))
    assert checkpoint["config"] == expected["config"]
    torch.testing.assert_close(checkpoint["model_state_dict"], expected["model_state_dict"], rtol=0, atol=0)


@pytest.mark.parametrize("key", ["config", "epoch", "loss", "model_state_dict"])
def test_missing_entry_is_named(write, key):
    content = original_content()
    del content[key]
    with pytest.raises(CheckpointError, match=f"{key}.*is missing"):
        read(write(content))


def test_views_load_and_shared_numbers_cannot_fill_memory(write):
    content = original_content(crosstask=False)
    weights = content["model_state_dict"]
    weights["dropout.0.weight"] = torch.randn(2 * WIDTH, 2 * DROP_LAYERS[0]).t()[::2, 1::2]
    loaded = read(write(content))["model_state_dict"]
    assert torch.equal(loaded["drop_network.layers.0.weight"], weights["dropout.0.weight"])

    content["config"]["BASEARCH"]["TEMPORAL_STACKING_ARCH"].update({"drop_layers": [1 << 20, 1 << 20]})
    for name in [name for name in weights if name.startswith("dropout.")]:
        del weights[name]
    for index, shape in enumerate([(1 << 20, WIDTH), (1 << 20, 1 << 20), (WIDTH + 1, 1 << 20)]):
        weights[f"dropout.{2 * index}.weight"] = torch.ones(1, 1).expand(*shape)
        weights[f"dropout.{2 * index}.bias"] = torch.ones(1).expand(shape[0])
    with pytest.raises(CheckpointError, match="more weights than it holds"):
        read(write(content))


def test_storage_out_of_bounds(write):
    """A bias of 7 numbers, each third of 19, whose pickle then claims each fourth."""
    content = original_content(crosstask=False)
    content["model_state_dict"]["dropout.0.bias"] = torch.randn(19)[::3]
    path = write(content)
    assert read(path)["model_state_dict"]["drop_network.layers.0.bias"].shape == (7,)
    farther = edited_pickle(path, lambda pickled: pickled.replace(b"K\x03\x85", b"K\x04\x85"))
    with pytest.raises(CheckpointError, match="does not fit the numbers stored for it"):
        read(farther)


def test_compressed_archive_is_refused(write, tmp_path):
    path = write(original_content())
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "c.pt", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        read(tmp_path / "c.pt")


def test_files_of_another_kind(write, tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.pt")
    ours = write({"config": {"easydict": "EasyDict"}, "model_state_dict": {}}, "ours.pt")
    assert not read_archive(ours).of_original_code
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"config": 1}))
    old_format = write(original_content(), "old.pt", _use_new_zipfile_serialization=False)
    for path in (tmp_path / "pickle.pt", old_format):
        with pytest.raises(CheckpointError, match="truncated or no checkpoint"):
            read(path)
