import math

import pytest
import torch

from models.layers import DropNetwork
from models.model_multiprong import MultiprongModel
from models.model_singleprong import FramewiseEncoder, Resnet50Encoder, TemporalStackingEncoder

FEATURES, WIDTH, HEADS = 6, 5, 3


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def make_model(encoder="temporal_stacking", causal=False, layout="per_frame"):
    base = {
        "temporal_stacking": lambda: TemporalStackingEncoder(FEATURES, WIDTH, 8, num_layers=3, causal=causal),
        "resnet50": lambda: Resnet50Encoder(FEATURES, WIDTH, 4, [7], causal=causal),
        "naive": lambda: FramewiseEncoder(FEATURES, WIDTH, [9]),
    }[encoder]()
    drop_network = DropNetwork(WIDTH, [6])
    return MultiprongModel(base, WIDTH, HEADS, [7, 4], [8, 6], drop_network, layout).double()


def make_video(frames, encoder="temporal_stacking"):
    return torch.randn(frames, FEATURES, *([3, 3] if encoder == "resnet50" else []), dtype=torch.float64)


def head_by_head(model, base):
    """The heads' outputs (L, T, D), one head and one layer at a time."""
    prongs = []
    for head in range(HEADS):
        hidden = base
        for layer, (weight, bias) in enumerate(zip(model.heads.weights, model.heads.biases, strict=True)):
            hidden = (hidden.clamp(min=0) if layer else hidden) @ weight[head] + bias[head]
        prongs.append(hidden)
    return torch.stack(prongs)


def attend(model, row):
    for module in model.attention:
        row = module(row)
    return row.exp() / row.exp().sum()


def test_against_a_loop_over_videos_heads_and_frames():
    model = make_model()
    videos = [make_video(frames) for frames in (9, 1, 4)]
    result = model(videos)
    for index, video in enumerate(videos):
        prongs = head_by_head(model, model.encoder([video])[0])
        outputs = []
        for frame in range(len(video)):
            weights = attend(model, torch.cat([prongs[head, frame] for head in range(HEADS)]))
            torch.testing.assert_close(result["attentions"][index][frame], weights)
            outputs.append(sum(weights[head] * prongs[head, frame] for head in range(HEADS)))
        torch.testing.assert_close(result["outputs"][index], torch.stack(outputs))
        context = torch.stack([model.drop_network.layers(output) for output in outputs]).mean(dim=0)
        torch.testing.assert_close(result["dropouts"][index], context)


def test_interleaved_attention_reads_the_stack_as_if_frames_came_first():
    model = make_model(layout="interleaved")
    videos = [make_video(frames) for frames in (8, 5)]
    result = model(videos)
    for index, video in enumerate(videos):
        prongs = head_by_head(model, model.encoder([video])[0])
        rows = prongs.contiguous().view(len(video), HEADS * WIDTH)
        for frame in range(len(video)):
            weights = attend(model, rows[frame])
            torch.testing.assert_close(result["attentions"][index][frame], weights)
            expected = sum(weights[head] * prongs[head, frame] for head in range(HEADS))
            torch.testing.assert_close(result["outputs"][index][frame], expected)


def test_only_the_per_frame_layout_follows_a_permutation_of_frames():
    video = make_video(12)
    order = torch.randperm(12)
    for layout, follows in (("per_frame", True), ("interleaved", False)):
        model = make_model("naive", layout=layout)
        shuffled, straight = model([video[order]]), model([video])
        for key in ("outputs", "attentions"):
            assert torch.allclose(shuffled[key][0], straight[key][0][order], atol=1e-12) == follows


@pytest.mark.parametrize("encoder", ["temporal_stacking", "resnet50", "naive"])
def test_causal_network_sees_no_future_frame(encoder):
    model = make_model(encoder, causal=True)
    assert model.frames_ahead == 0
    video = make_video(19, encoder)
    before = model([video])
    for now in (0, 8, 17):
        for future in (torch.full_like(video, torch.nan), 100 * torch.randn_like(video)):
            after = model([torch.cat([video[: now + 1], future[now + 1 :]])])
            for key in ("outputs", "attentions"):
                assert torch.equal(after[key][0][: now + 1], before[key][0][: now + 1])


@pytest.mark.parametrize("encoder", ["temporal_stacking", "naive"])
def test_frames_ahead_and_behind(encoder):
    model = make_model(encoder)
    video, now = make_video(25, encoder), 12
    before = model([video])["outputs"][0][now]
    matters = []
    for frame in range(25):
        changed = video.clone()
        # Large and several times, because a ReLU may pass a change over.
        for scale in (100.0, -100.0, 1000.0):
            changed[frame] = scale * torch.randn(FEATURES, dtype=torch.float64)
            if not torch.equal(model([changed])["outputs"][0][now], before):
                matters.append(frame)
    assert (now - min(matters), max(matters) - now) == (model.frames_behind, model.frames_ahead)


def test_interleaved_layout_owns_up_to_reading_ahead():
    model = make_model("naive", layout="interleaved")
    assert model.frames_ahead == math.inf
    video = make_video(10)
    changed = torch.cat([video[:-1], -video[-1:]])
    assert not torch.equal(model([video])["outputs"][0][:9], model([changed])["outputs"][0][:9])


@pytest.mark.parametrize("layout", ["per_frame", "interleaved"])
def test_a_video_does_not_depend_on_its_batch(layout):
    model = make_model(layout=layout)
    videos = [make_video(frames) for frames in (6, 1, 11)]
    together = model(videos)
    for index, video in enumerate(videos):
        alone = model.eval()([video])
        for key in ("outputs", "attentions", "dropouts"):
            torch.testing.assert_close(alone[key][0], together[key][index])


def test_attention_is_a_distribution_and_outputs_lie_between_the_heads():
    model = make_model()
    video = 50 * make_video(30)
    result = model([video])
    attentions = result["attentions"][0]
    assert attentions.shape == (30, HEADS)
    assert (attentions >= 0).all()
    torch.testing.assert_close(attentions.sum(dim=1), torch.ones(30, dtype=torch.float64))
    prongs = head_by_head(model, model.encoder([video])[0])
    low, high = prongs.amin(dim=0) - 1e-9, prongs.amax(dim=0) + 1e-9
    assert ((result["outputs"][0] >= low) & (result["outputs"][0] <= high)).all()


def test_every_parameter_gets_a_gradient():
    model = make_model()
    result = model([make_video(9), make_video(7)])
    sum(tensor.square().sum() for tensor in result["outputs"] + result["dropouts"]).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_one_head_is_that_head():
    model = MultiprongModel(FramewiseEncoder(FEATURES, WIDTH, []), WIDTH, 1, [7], []).double()
    video = make_video(5)
    result = model([video])
    assert torch.equal(result["attentions"][0], torch.ones(5, 1, dtype=torch.float64))
    torch.testing.assert_close(result["outputs"][0], model.heads(model.encoder([video])[0])[:, 0])


def test_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="attention_layout is 'by_frame'"):
        make_model(layout="by_frame")
