import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from configs.generic_config import get_generic_config
from models.alignment_training_loop import leave_unused_parts_alone
from models.build_model import build_model
from models.layers import DropNetwork, StackedFullyConnected, TemporalConvolution
from models.model_singleprong import (
    FramewiseEncoder,
    Resnet50Encoder,
    SingleprongModel,
    TemporalStackingEncoder,
)

WIDTH, OUTPUT = 6, 5


def make_encoder(name, causal=False, depth=2):
    if name == "temporal_stacking":
        return TemporalStackingEncoder(WIDTH, OUTPUT, 8, num_layers=4, temporal_depth=depth, causal=causal)
    if name == "resnet50":
        return Resnet50Encoder(
            WIDTH, OUTPUT, 4, fc_layers=[7], temporal_depth=depth, frames_per_chunk=5, causal=causal
        )
    return FramewiseEncoder(WIDTH, OUTPUT, [9, 8])


def make_video(name, frames, dtype=torch.float32):
    return torch.randn(frames, WIDTH, *([3, 4] if name == "resnet50" else []), dtype=dtype)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


ENCODERS = pytest.mark.parametrize("name", ["temporal_stacking", "resnet50", "naive"])


@ENCODERS
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_causal_encoder_sees_no_future_frame(name, depth):
    encoder = make_encoder(name, causal=True, depth=depth)
    assert encoder.frames_ahead == 0
    video = make_video(name, 23)
    before = encoder([video])[0]
    for now in (0, 7, 21):
        for future in (torch.full_like(video, torch.nan), torch.randn_like(video) * 100):
            changed = torch.cat([video[: now + 1], future[now + 1 :]])
            assert torch.equal(encoder([changed])[0][: now + 1], before[: now + 1])


@ENCODERS
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_context_reaches_as_far_as_stated_and_no_farther(name, causal, depth):
    encoder = make_encoder(name, causal, depth).double()
    video, now = make_video(name, 41, torch.float64), 20
    before = encoder([video])[0][now]
    matters = []
    for frame in range(41):
        changed = video.clone()
        # Large and several times, because a ReLU or the maximum may pass a change over.
        for _ in range(3):
            changed[frame] = 100 * torch.randn_like(changed[frame])
            if not torch.equal(encoder([changed])[0][now], before):
                matters.append(frame)
    assert min(matters) == now - encoder.frames_behind
    assert max(matters) == now + encoder.frames_ahead


def test_default_temporal_stacking_has_seven_convolutions():
    encoder = TemporalStackingEncoder(64, 16, 32)
    shapes = [tuple(layer.weight.shape) for layer in encoder.convolutions]
    assert shapes == [(2, 64, 32), (3, 32, 16), *[(3, 16, 16)] * 5]
    assert (encoder.frames_behind, encoder.frames_ahead) == (6, 7)
    causal = TemporalStackingEncoder(64, 16, 32, causal=True)
    assert (causal.frames_behind, causal.frames_ahead) == (13, 0)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_temporal_stacking_width_of_few_layers(num_layers):
    encoder = TemporalStackingEncoder(WIDTH, OUTPUT, 8, num_layers=num_layers)
    assert len(encoder.convolutions) == num_layers
    assert encoder([torch.randn(4, WIDTH)])[0].shape == (4, OUTPUT)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_temporal_convolution_is_same_padded_convolution(kernel, frames):
    layer = TemporalConvolution(3, 4, kernel, causal=False).double()
    video = torch.randn(frames, 3, dtype=torch.float64)
    weight = layer.weight.permute(2, 1, 0)
    padded = functional.pad(video.t(), ((kernel - 1) // 2, kernel // 2))
    torch.testing.assert_close(layer(video), functional.conv1d(padded[None], weight)[0].t())


@pytest.mark.parametrize("causal", [False, True])
def test_temporal_convolution_against_its_formula(causal):
    layer = TemporalConvolution(2, 3, 4, causal).double()
    video = torch.randn(6, 2, dtype=torch.float64)
    behind = 3 if causal else 1
    expected = torch.zeros(6, 3, dtype=torch.float64)
    for frame in range(6):
        for tap in range(4):
            source = frame + tap - behind
            if 0 <= source < 6:
                expected[frame] += video[source] @ layer.weight[tap]
    torch.testing.assert_close(layer(video), expected)


def test_gradients_against_finite_differences():
    convolution = TemporalConvolution(2, 3, 3, causal=False).double()
    video = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)

    def convolve(frames, weight):
        return torch.func.functional_call(convolution, {"weight": weight}, frames)

    assert torch.autograd.gradcheck(convolve, (video, convolution.weight.detach().requires_grad_()))
    heads = StackedFullyConnected(3, [2, 4, 3]).double()
    names = [name for name, _ in heads.named_parameters()]
    values = [value.detach().requires_grad_() for value in heads.parameters()]

    def stacked(frames, *parameters):
        return torch.func.functional_call(heads, dict(zip(names, parameters, strict=True)), frames)

    assert torch.autograd.gradcheck(stacked, (video, *values))


@pytest.mark.parametrize("bytes_per_product", [1, 6 * 7 * 8 * 2, 1 << 30])
def test_stacked_layers_are_the_perceptrons_one_by_one(monkeypatch, bytes_per_product):
    monkeypatch.setattr("models.layers._CPU_BYTES_PER_PRODUCT", bytes_per_product)
    heads = StackedFullyConnected(5, [4, 7, 6, 3]).double()
    frames = torch.randn(6, 4, dtype=torch.float64)
    result = heads(frames)
    assert result.shape == (6, 5, 3)
    for head in range(5):
        hidden = frames
        for layer in range(3):
            hidden = hidden @ heads.weights[layer][head] + heads.biases[layer][head]
            hidden = hidden.clamp(min=0) if layer < 2 else hidden
        torch.testing.assert_close(result[:, head], hidden)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_resnet50_encoder_frame_by_frame(causal, depth):
    encoder = make_encoder("resnet50", causal, depth).double()
    video = make_video("resnet50", 12, torch.float64)
    behind = depth - 1 if causal else (depth - 1) // 2
    outputs = encoder([video])[0]
    for frame in range(12):
        context = [min(max(frame - behind + step, 0), 11) for step in range(depth)]
        maps = torch.stack([video[index] for index in context], dim=1)[None]
        pooled = encoder.convolutions(maps).amax(dim=(2, 3, 4))
        torch.testing.assert_close(outputs[frame], encoder.fc(pooled)[0])


def test_resnet50_encoder_in_chunks_has_the_values_and_gradients_of_the_whole():
    chunked = make_encoder("resnet50").double()
    whole = copy.deepcopy(chunked)
    whole.frames_per_chunk = 1000
    video = make_video("resnet50", 13, torch.float64)
    weights = torch.randn(13, OUTPUT, dtype=torch.float64)
    outputs = [encoder([video])[0] for encoder in (chunked, whole)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        (output * weights).sum().backward()
    for ours, expected in zip(chunked.parameters(), whole.parameters(), strict=True):
        assert ours.grad.abs().sum() > 0
        torch.testing.assert_close(ours.grad, expected.grad)
    with torch.no_grad():
        torch.testing.assert_close(chunked([video])[0], outputs[1])


@ENCODERS
def test_a_video_does_not_depend_on_its_batch(name):
    model = SingleprongModel(make_encoder(name), DropNetwork(OUTPUT, [6])).double()
    videos = [make_video(name, frames, torch.float64) for frames in (4, 1, 17)]
    together = model(videos)
    for training in (True, False):
        model.train(training)
        for index, video in enumerate(videos):
            alone = model([video])
            torch.testing.assert_close(alone["outputs"][0], together["outputs"][index])
            torch.testing.assert_close(alone["dropouts"][0], together["dropouts"][index])
    assert [tuple(output.shape) for output in together["outputs"]] == [(4, OUTPUT), (1, OUTPUT), (17, OUTPUT)]
    assert together["attentions"] == []


def test_drop_network_is_the_mean_over_frames():
    network = DropNetwork(OUTPUT, [6]).double()
    videos = [torch.randn(frames, OUTPUT, dtype=torch.float64) for frames in (3, 8)]
    first, last = network.layers[0], network.layers[-1]
    for video, context in zip(videos, network(videos), strict=True):
        expected = sum(last(first(frame).clamp(min=0)) for frame in video) / len(video)
        assert context.shape == (OUTPUT + 1,)
        torch.testing.assert_close(context, expected)


def test_a_loss_that_reads_no_dropouts_gets_none():
    config = get_generic_config()
    model = build_model(config.to_dict(), 8, 1)
    frames = [torch.randn(9, 8), torch.randn(7, 8)]
    for loss, gamma, read in (("GTCC", 0.95, True), ("GTCC", 1.0, False), ("tcc", 0.95, False)):
        config.LOSS_TYPE = {name: name == loss for name in config.LOSS_TYPE}
        config.GTCC_PARAMS.gamma = gamma
        model.gives_dropouts = True
        leave_unused_parts_alone(model, config)
        assert len(model(frames)["dropouts"]) == (2 if read else 0)


def test_no_drop_network_no_dropouts():
    assert SingleprongModel(make_encoder("naive"))([torch.randn(3, WIDTH)])["dropouts"] == []


@ENCODERS
def test_every_parameter_gets_a_gradient(name):
    model = SingleprongModel(make_encoder(name), DropNetwork(OUTPUT, [6]))
    result = model([make_video(name, 9), make_video(name, 7)])
    sum(tensor.square().sum() for tensor in result["outputs"] + result["dropouts"]).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@ENCODERS
def test_refuses_what_it_cannot_read(name):
    model = SingleprongModel(make_encoder(name))
    video = make_video(name, 5)
    with pytest.raises(ValueError, match="at least one video"):
        model([])
    with pytest.raises(ValueError, match=r"video 1 of the batch has shape .* expected \(T, 6"):
        model([video, video[:, :-1]])
    with pytest.raises(ValueError, match="video 0"):
        model([video[0]])
    with pytest.raises(ValueError, match="video 0"):
        model([video[:0]])
    with pytest.raises(TypeError, match="list of tensors"):
        model(video)
    with pytest.raises(TypeError, match="float64"):
        model([video.double()])


def test_no_layer_mixes_a_batch_or_keeps_state():
    for name in ("temporal_stacking", "resnet50", "naive"):
        encoder = make_encoder(name)
        assert list(encoder.buffers()) == []
        assert not any(isinstance(module, nn.modules.batchnorm._NormBase) for module in encoder.modules())


def test_embeddings_begin_as_widely_spread_as_the_features():
    """Or else a soft nearest neighbour starts as the mean of the video and alignment has no gradient."""
    features = torch.randn(200, 64)
    for encoder in (TemporalStackingEncoder(64, 128, 256), FramewiseEncoder(64, 128)):
        spread = encoder([features])[0].std(dim=0).mean()
        assert 0.3 < spread < 3
    assert 0.3 < StackedFullyConnected(4, [64, 512, 128, 256, 128])(features).std(dim=0).mean() < 3
