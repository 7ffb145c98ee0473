"""Checkpoints as the original code's own script writes them: nearly every setting None or absent."""

import itertools
import sys
import types
from collections import OrderedDict
from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from tests.utils.checkpoints.test_original_code import EasyDict, layers, run_layers
from utils.ckpt_save import get_ckpt_for_eval, load_checkpoint, load_model
from utils.errors import CheckpointError
from utils.prediction.predictor import ProgressPredictor

LOSSES = ("tcc", "GTCC", "LAV", "VAVA")
FEATURES, CHANNELS, PIXELS, TASKS = 20, 5, 4, 3
HIDDEN = {"drop": [256, 1024, 512, 256], "attention": [512, 1024, 512, 512], "head": [512, 128, 256]}


def script_config(architecture, crosstask, loss, width=128):
    """The configuration that the script leaves for these options; what it never sets is None."""
    stacking = {"temporal_depth": 2, "conv_num_channels": 256, "drop_layers": HIDDEN["drop"]}
    if loss == "GTCC" and not crosstask:
        stacking |= {"dropping": True, "output_dimensions": width}
    gtcc = {"delta": 0.2, "n_components": 15, "gamma": 0.95} if loss == "GTCC" else {}
    return EasyDict({
        "DATASET_NAME": "egoprocel", "DATAFOLDER": "data/egoprocel", "EVAL_PLOTFOLDER": "out/multi-task-setting",
        "BASEARCH": EasyDict({
            "ARCHITECTURE": architecture,
            "Resnet50_ARCH": EasyDict({"temporal_depth": 2}),
            "TEMPORAL_STACKING_ARCH": EasyDict(stacking),
            "NAIVE_ARCH": EasyDict({"layers": [1024, 512, 512, 256], "drop_layers": HIDDEN["drop"]}),
        }),
        "ARCHITECTURE": EasyDict({
            "MCN": crosstask, "drop_layers": HIDDEN["drop"], "attn_layers": HIDDEN["attention"], "num_heads": None,
        }),
        "LOSS_TYPE": EasyDict({name: name == loss for name in LOSSES}),
        "TCC_ORIGINAL_PARAMS": EasyDict({"softmax_temp": 0.1, "alignment_variance": 0.001}),
        "GTCC_PARAMS": EasyDict({
            "softmax_temp": 0.1, "max_gmm_iters": 8, "n_components": None, "delta": None, "gamma": None,
            "alignment_variance": 0, **gtcc,
        }),
        "LAV_PARAMS": EasyDict({"min_temp": 0.1}), "VAVA_PARAMS": EasyDict({}),
        "SKIP_RATE": None, "MULTITASK": True, "OUTPUT_DIMENSIONALITY": width, "TRAIN_SPLIT": [0.65, 0.5],
        "DATA_SIZE": None, "LAZY_LOAD": True, "DEBUG": False, "BATCH_SIZE": 2, "LEARNING_RATE": 1e-4,
        "NUM_EPOCHS": 50, "VERSION": "1", "EXPERIMENTNAME": f"V1___{loss}_egoprocel",
    })  # fmt: skip


def stacking_weights(base, width):
    """Channels are halved from 256 down to the width, which at least seven convolutions in all then keep."""
    widths = [FEATURES, 256]
    while widths[-1] > width:
        widths.append(widths[-1] // 2)
    widths += [width] * (8 - len(widths))
    weights = OrderedDict()
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        shape = (outputs, inputs, 3 if layer else 2)
        weights[f"{base}convolutional_layers.{2 * layer}.weight"] = torch.randn(shape) / (2 * inputs) ** 0.5
    return weights


def map_weights(base, channels=CHANNELS, convolved=9, hidden=11, width=128):
    weights = OrderedDict()
    for layer, (inputs, outputs) in ((0, (channels, channels)), (2, (channels, convolved))):
        weights[f"{base}conv_embedding.{layer}.weight"] = torch.randn(outputs, inputs, 3, 3, 3) / (9 * inputs) ** 0.5
        weights[f"{base}conv_embedding.{layer}.bias"] = torch.randn(outputs)
    weights.update(layers(f"{base}linear_embedding", [convolved, hidden, hidden, width]))
    return weights


def script_checkpoint(architecture, crosstask, loss, width=128, epoch=0):
    """What the script saves. Only GTCC without the crosstask network gives the encoder another width than 128."""
    base = "base_model." if crosstask else ""
    asked = width if loss == "GTCC" and not crosstask and architecture == "temporal_stacking" else 128
    weights = stacking_weights(base, asked) if architecture == "temporal_stacking" else map_weights(base)
    if crosstask:
        for head in range(TASKS):
            weights.update(layers(f"head_models.{head}.fc_layers", [width, *HIDDEN["head"], width]))
        weights.update(layers("attention_layer", [TASKS * width, *HIDDEN["attention"], TASKS]))
    if loss == "GTCC" and (crosstask or architecture == "temporal_stacking"):
        weights.update(layers("dropout", [width, *HIDDEN["drop"], width + 1]))
    return {
        "config": script_config(architecture, crosstask, loss, width),
        "epoch": epoch,
        "loss": 10000000 if epoch == 0 else 3.25,
        "model_state_dict": weights,
        "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 1e-4, "params": list(range(len(weights)))}]},
    }


@pytest.fixture
def write(tmp_path, monkeypatch):
    def write_content(content, name="epoch-0.pt"):
        with monkeypatch.context() as patch:
            module = types.ModuleType("easydict")
            module.EasyDict = EasyDict
            patch.setitem(sys.modules, "easydict", module)
            torch.save(content, tmp_path / name)
        return tmp_path / name

    torch.manual_seed(0)
    return write_content


def encode_by_convolutions(weights, base, video):
    """(T, features) -> (T, width): a window of two, then of three frames, zeros outside the video, frame by frame."""
    names = [name for name in weights if name.startswith(f"{base}convolutional_layers.")]
    for layer, name in enumerate(names):
        kernel, rows = weights[name], video.relu() if layer else video
        before = (kernel.shape[2] - 1) // 2
        outputs = []
        for t in range(len(rows)):
            window = [(j, t + j - before) for j in range(kernel.shape[2]) if 0 <= t + j - before < len(rows)]
            outputs.append(sum(kernel[:, :, j] @ rows[u] for j, u in window))
        video = torch.stack(outputs)
    return video


def encode_maps(weights, base, video, depth=2):
    """(T, channels, height, width) -> (T, 128): a frame sees the `depth` frames before it, zeros before the first."""
    outputs = []
    for t in range(len(video)):
        seen = [video[u] if u >= 0 else torch.zeros_like(video[0]) for u in range(t - depth, t)]
        hidden = torch.stack(seen, dim=1)[None]
        for layer in (0, 2):
            kernel, bias = (weights[f"{base}conv_embedding.{layer}.{part}"] for part in ("weight", "bias"))
            hidden = functional.conv3d(hidden, kernel, bias, padding=1).relu()
        pooled = hidden[0].flatten(1).max(dim=1).values
        outputs.append(run_layers(weights, f"{base}linear_embedding", pooled, torch.relu).relu())
    return torch.stack(outputs)


def run_script_model(content, video):
    """Outputs, attentions and drop context of the original network; None where it has none."""
    weights, config = content["model_state_dict"], content["config"]
    crosstask = config["ARCHITECTURE"]["MCN"]
    encode = encode_maps if config["BASEARCH"]["ARCHITECTURE"] == "resnet50" else encode_by_convolutions
    outputs, attentions, dropout = encode(weights, "base_model." if crosstask else "", video), None, None
    if crosstask:
        prongs = torch.stack(
            [run_layers(weights, f"head_models.{head}.fc_layers", outputs, torch.relu) for head in range(TASKS)]
        )
        rows = prongs.contiguous().view(len(video), -1)
        attentions = run_layers(weights, "attention_layer", rows, torch.tanh).softmax(dim=1)
        outputs = sum(attentions[:, head, None] * prongs[head] for head in range(TASKS))
    if any(name.startswith("dropout.") for name in weights):
        dropout = run_layers(weights, "dropout", outputs, torch.relu).mean(dim=0)
    return outputs, attentions, dropout


def videos_for(architecture):
    shape = (CHANNELS, PIXELS, PIXELS) if architecture == "resnet50" else (FEATURES,)
    return [torch.randn(frames, *shape) for frames in (9, 4)]


def check_same_outputs(content, model):
    videos = videos_for(content["config"]["BASEARCH"]["ARCHITECTURE"])
    with torch.no_grad():
        result = model(videos)
        for index, video in enumerate(videos):
            for key, expected in zip(
                ("outputs", "attentions", "dropouts"), run_script_model(content, video), strict=True
            ):
                if expected is None:
                    assert result[key] == []
                else:
                    torch.testing.assert_close(result[key][index], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "crosstask", "loss"),
    list(itertools.product(["temporal_stacking", "resnet50"], [True, False], LOSSES)),
)
def test_every_kind_of_checkpoint_gives_the_outputs_of_the_original(write, architecture, crosstask, loss):
    content = script_checkpoint(architecture, crosstask, loss)
    path = write(content)
    loaded = get_ckpt_for_eval(path.parent)
    assert loaded.path == path
    assert (loaded.checkpoint["epoch"], loaded.checkpoint["loss"]) == (0, 10000000.0)
    config = loaded.checkpoint["config"]
    assert [name for name, on in config["LOSS_TYPE"].items() if on] == [loss]
    assert config["SKIP_RATE"] == 1
    check_same_outputs(content, loaded.model)


@pytest.mark.parametrize("width", [64, 16, 2])
def test_channels_that_are_halved_down_to_a_narrow_embedding(write, width):
    content = script_checkpoint("temporal_stacking", False, "GTCC", width, epoch=5)
    checkpoint = load_checkpoint(write(content))
    assert checkpoint["config"]["OUTPUT_DIMENSIONALITY"] == width
    check_same_outputs(content, load_model(checkpoint))


@pytest.mark.parametrize("loss", ["tcc", "LAV", "VAVA"])
def test_a_width_that_the_script_never_gave_to_the_encoder(write, loss):
    content = script_checkpoint("temporal_stacking", False, loss, width=32, epoch=1)
    checkpoint = load_checkpoint(write(content))
    assert checkpoint["config"]["OUTPUT_DIMENSIONALITY"] == 128
    check_same_outputs(content, load_model(checkpoint))


def test_heads_of_another_width_than_the_encoder_cannot_run_forward(write):
    content = script_checkpoint("temporal_stacking", True, "tcc", width=32)
    with pytest.raises(CheckpointError, match=r"head_models\.0\.fc_layers\.0\.weight is \(512, 32\).*\(any, 128\)"):
        load_checkpoint(write(content))


@pytest.mark.parametrize("crosstask", [True, False])
@pytest.mark.parametrize("architecture", ["temporal_stacking", "resnet50"])
@pytest.mark.parametrize("emptied", ["none", "absent"])
def test_a_configuration_without_any_value(write, architecture, crosstask, emptied):
    content = script_checkpoint(architecture, crosstask, "GTCC", epoch=50)

    def without_values(group):
        items = {key: without_values(value) if isinstance(value, EasyDict) else None for key, value in group.items()}
        return EasyDict(items)

    whole = content["config"]
    content["config"] = without_values(whole) if emptied == "none" else EasyDict()
    checkpoint = load_checkpoint(write(content))
    content["config"] = whole
    assert not any(checkpoint["config"]["LOSS_TYPE"].values())
    assert checkpoint["config"]["TRAIN_SPLIT"] == (0.65, 0.5)
    check_same_outputs(content, load_model(checkpoint))


@pytest.mark.parametrize("group", ["GTCC_PARAMS", "LAV_PARAMS", "VAVA_PARAMS", "TCC_ORIGINAL_PARAMS"])
@pytest.mark.parametrize("loss", LOSSES)
def test_settings_of_losses_that_are_off_never_matter(write, loss, group):
    content = script_checkpoint("temporal_stacking", False, loss)
    expected = load_checkpoint(write(content))["config"]
    own = {"tcc": "TCC_ORIGINAL_PARAMS"}.get(loss, f"{loss}_PARAMS")
    content["config"][group] = None if group == own else EasyDict({"delta": "wide", "min_temp": [], "zeta": {}})
    assert load_checkpoint(write(content))["config"] == expected


def test_another_context_of_the_maps(write):
    content = script_checkpoint("resnet50", False, "tcc")
    content["config"]["BASEARCH"]["Resnet50_ARCH"] = EasyDict({"temporal_depth": 3})
    model = load_model(load_checkpoint(write(content)))
    (video, _) = videos_for("resnet50")
    with torch.no_grad():
        torch.testing.assert_close(
            model([video])["outputs"][0], encode_maps(content["model_state_dict"], "", video, depth=3)
        )
    assert (model.frames_behind, model.frames_ahead) == (3, 0)


@pytest.mark.parametrize("frames_per_chunk", [1, 2, 5])
def test_chunks_of_maps_and_a_stream_of_them_change_nothing(write, frames_per_chunk):
    content = script_checkpoint("resnet50", False, "LAV")
    path = write(content)
    checkpoint = load_checkpoint(path)
    checkpoint["config"]["BASEARCH"]["Resnet50_ARCH"]["frames_per_chunk"] = frames_per_chunk
    checkpoint["tasks"], checkpoint["progress_normalizers"] = ["brew"], {"brew": 7.0}
    check_same_outputs(content, load_model(checkpoint))
    (video, _) = videos_for("resnet50")
    predictor = ProgressPredictor.from_checkpoint(path, checkpoint=checkpoint)
    stream = predictor.stream()
    streamed = [progress for frame in video for progress in stream.update(frame)]
    assert streamed == pytest.approx(predictor.predict(video), abs=1e-6)


@pytest.mark.parametrize("crosstask", [True, False])
def test_an_unused_drop_network_of_the_encoder_is_left_out_with_a_warning(write, crosstask, caplog):
    content = script_checkpoint("resnet50", crosstask, "LAV")
    unused = "base_model.dropout" if crosstask else "dropout"
    drop = layers(unused, [128, 512, 256, 128])
    path = write({**content, "model_state_dict": {**content["model_state_dict"], **drop}})
    check_same_outputs(content, load_model(load_checkpoint(path)))
    assert f"the drop network {unused}" in caplog.text


def test_the_naive_encoder_is_refused_by_its_own_sentence(write):
    weights = layers("layers", [2048, 1024]) | layers("dropout", [128, *HIDDEN["drop"], 129])
    for config in (script_config("naive", False, "GTCC"), EasyDict()):
        path = write({"config": config, "epoch": 0, "loss": 1, "model_state_dict": weights})
        with pytest.raises(CheckpointError, match="cannot run forward at all: its layer sizes don't chain"):
            load_checkpoint(path)


def test_an_error_names_the_first_missing_thing_in_the_order_of_the_network(write):
    whole = script_checkpoint("temporal_stacking", True, "GTCC")
    order = ["config", "model_state_dict", *whole["model_state_dict"], "epoch", "loss"]
    generator = torch.Generator().manual_seed(1)
    for _ in range(12):
        missing = sorted(torch.randperm(len(order), generator=generator)[:5].tolist())
        names = [order[index] for index in missing]
        content = {
            **{key: value for key, value in whole.items() if key not in names},
            **({} if "model_state_dict" in names else {
                "model_state_dict": {k: w for k, w in whole["model_state_dict"].items() if k not in names}
            }),
        }  # fmt: skip
        if not any(isinstance(value, EasyDict) for value in content.values()):
            continue  # nothing shows that it is of the original code
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(write(content))
        assert names[0] in str(caught.value)
