import copy
import math

import pytest
import torch
from ml_collections import ConfigDict

from models.build_model import build_model
from models.model_multiprong import MultiprongModel
from models.model_singleprong import (
    FramewiseEncoder,
    Resnet50Encoder,
    SingleprongModel,
    TemporalStackingEncoder,
)

CONFIG = {
    "OUTPUT_DIMENSIONALITY": 5,
    "CAUSAL": False,
    "BASEARCH": {
        "ARCHITECTURE": "temporal_stacking",
        "Resnet50_ARCH": {
            "temporal_depth": 2,
            "conv_num_channels": 3,
            "fc_layers": [4],
            "frames_per_chunk": 4,
        },
        "TEMPORAL_STACKING_ARCH": {"temporal_depth": 2, "conv_num_channels": 8, "num_layers": 3},
        "NAIVE_ARCH": {"layers": (9, 7)},
    },
    "ARCHITECTURE": {
        "skip": True,
        "MCN": True,
        "num_heads": 0,
        "head_layers": (7, 4),
        "attn_layers": (8,),
        "attention_layout": "per_frame",
        "dropping": True,
        "drop_layers": (6,),
    },
}


def changed(**values):
    """The configuration above with settings changed; a double underscore goes into a group."""
    config = copy.deepcopy(CONFIG)
    for key, value in values.items():
        *groups, name = key.split("__")
        group = config
        for part in groups:
            group = group[part]
        if value is KeyError:
            del group[name]
        else:
            group[name] = value
    return config


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("crosstask", [False, True])
@pytest.mark.parametrize(
    ("architecture", "encoder_class"),
    [
        ("temporal_stacking", TemporalStackingEncoder),
        ("resnet50", Resnet50Encoder),
        ("naive", FramewiseEncoder),
    ],
)
def test_builds_each_network(architecture, encoder_class, crosstask, causal):
    config = changed(BASEARCH__ARCHITECTURE=architecture, ARCHITECTURE__MCN=crosstask, CAUSAL=causal)
    for given in (config, ConfigDict(config)):
        model = build_model(given, feature_width=11, number_of_tasks=4)
        assert type(model) is (MultiprongModel if crosstask else SingleprongModel)
        assert type(model.encoder) is encoder_class
        assert (model.frames_ahead == 0) == (causal or architecture == "naive")
        frame = (11, 3, 3) if architecture == "resnet50" else (11,)
        result = model([torch.randn(6, *frame), torch.randn(9, *frame)])
        assert [tuple(output.shape) for output in result["outputs"]] == [(6, 5), (9, 5)]
        attentions = [tuple(weights.shape) for weights in result["attentions"]]
        assert attentions == ([(6, 4), (9, 4)] if crosstask else [])
        assert [tuple(context.shape) for context in result["dropouts"]] == [(6,), (6,)]


@pytest.mark.parametrize(("num_heads", "expected"), [(0, 3), (None, 3), (1, 1), (6, 6)])
def test_number_of_heads(num_heads, expected):
    model = build_model(changed(ARCHITECTURE__num_heads=num_heads), 11, 3)
    assert model([torch.randn(4, 11)])["attentions"][0].shape == (4, expected)


def test_sizes_come_from_the_configuration():
    model = build_model(CONFIG, 11, 2)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["encoder.convolutions.0.weight"] == (2, 11, 8)
    assert shapes["encoder.convolutions.2.weight"] == (3, 5, 5)
    assert [shapes[f"heads.weights.{layer}"] for layer in range(3)] == [(2, 5, 7), (2, 7, 4), (2, 4, 5)]
    assert shapes["attention.0.weight"] == (8, 10)
    assert shapes["drop_network.layers.0.weight"] == (6, 5)


def test_drop_network_by_setting():
    model = build_model(changed(ARCHITECTURE__dropping=False), 11, 2)
    assert model([torch.randn(4, 11)])["dropouts"] == []
    assert not any("drop" in name for name in model.state_dict())


def test_settings_that_older_configurations_lack_have_defaults():
    config = changed(BASEARCH__TEMPORAL_STACKING_ARCH__num_layers=KeyError)
    assert len(build_model(config, 11, 2).encoder.convolutions) == 7
    config = changed(BASEARCH__ARCHITECTURE="resnet50", BASEARCH__Resnet50_ARCH={"temporal_depth": 2})
    assert build_model(config, 11, 2).encoder.convolutions[0].out_channels == 512


def test_the_seed_alone_decides_the_weights():
    models = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        models.append(build_model(CONFIG, 11, 2).state_dict())
    assert all(torch.equal(value, models[1][name]) for name, value in models[0].items())
    weights = [name for name in models[0] if "bias" not in name]
    assert not any(torch.equal(models[0][name], models[2][name]) for name in weights)


def test_the_configuration_is_not_modified_and_weights_load_strictly():
    config = changed()
    model = build_model(config, 11, 2)
    assert config == CONFIG
    other = build_model(config, 11, 2)
    other.load_state_dict(model.state_dict(), strict=True)
    videos = [torch.randn(7, 11)]
    assert torch.equal(model(videos)["outputs"][0], other(videos)["outputs"][0])


def test_interleaved_layout():
    assert build_model(changed(ARCHITECTURE__attention_layout="interleaved"), 11, 2).frames_ahead == math.inf
    with pytest.raises(ValueError, match=r"ARCHITECTURE\.attention_layout is 'interleaved'.*CAUSAL"):
        build_model(changed(ARCHITECTURE__attention_layout="interleaved", CAUSAL=True), 11, 2)


@pytest.mark.parametrize("bad", [0, -3, 2.0, "5", True, None, [5], KeyError, 10**12])
@pytest.mark.parametrize(
    "key",
    [
        "OUTPUT_DIMENSIONALITY",
        "BASEARCH__TEMPORAL_STACKING_ARCH__conv_num_channels",
        "BASEARCH__TEMPORAL_STACKING_ARCH__temporal_depth",
    ],
)
def test_bad_size_is_refused_by_its_key(key, bad):
    with pytest.raises(ValueError, match=key.replace("__", r"\.")):
        build_model(changed(**{key: bad}), 11, 2)


@pytest.mark.parametrize("bad", [0, "512", None, KeyError, {"a": 1}, [4, 0], [4, 2.5], [True]])
@pytest.mark.parametrize("name", ["head_layers", "attn_layers", "drop_layers"])
def test_bad_layers_are_refused_by_their_key(name, bad):
    with pytest.raises(ValueError, match=rf"ARCHITECTURE\.{name}"):
        build_model(changed(**{f"ARCHITECTURE__{name}": bad}), 11, 2)


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        ("CAUSAL", 1),
        ("CAUSAL", KeyError),
        ("ARCHITECTURE__MCN", None),
        ("ARCHITECTURE__dropping", "yes"),
        ("ARCHITECTURE__num_heads", -1),
        ("ARCHITECTURE__num_heads", 1.5),
        ("BASEARCH__ARCHITECTURE", "resnet"),
        ("BASEARCH__ARCHITECTURE", 50),
        ("BASEARCH__ARCHITECTURE", KeyError),
        ("ARCHITECTURE__attention_layout", "by_frame"),
        ("ARCHITECTURE__attention_layout", ["per_frame"]),
        ("ARCHITECTURE", KeyError),
        ("ARCHITECTURE", 7),
        ("BASEARCH__TEMPORAL_STACKING_ARCH", KeyError),
    ],
)
def test_bad_setting_is_refused_by_its_key(key, bad):
    with pytest.raises(ValueError, match=key.replace("__", r"\.")):
        build_model(changed(**{key: bad}), 11, 2)


@pytest.mark.parametrize(("width", "tasks", "named"), [(0, 2, "feature_width"), (11, 0, "number_of_tasks")])
def test_bad_data_sizes_are_refused(width, tasks, named):
    with pytest.raises(ValueError, match=named):
        build_model(CONFIG, width, tasks)


def test_unknown_tasks_will_do_where_the_number_of_heads_is_given():
    assert build_model(changed(ARCHITECTURE__num_heads=4), 11, 0).heads.heads == 4
    assert build_model(changed(ARCHITECTURE__MCN=False), 11, 0).frames_ahead == 3
