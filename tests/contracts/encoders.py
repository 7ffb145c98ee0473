"""What every frame encoder must do. From a test of your own:

    from tests.contracts.encoders import check_encoder

    def test_my_encoder():
        check_encoder(lambda: MyEncoder(feature_width=6, output_width=5, causal=True), (6,), causal=True)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tests.contracts.requirement import require

MakeEncoder = Callable[[], nn.Module]
TRIES = 3  # of a large change: a ReLU or a maximum may pass one over


def check_encoder(
    make_encoder: MakeEncoder, frame_shape: Sequence[int], *, causal: bool, device: torch.device | str = "cpu"
) -> None:
    """All contracts of an encoder.

    Args:
        make_encoder: makes it with new weights, small.
        frame_shape: (width,) of a frame's features, or (channels, height, width) of its maps.
        causal: it was made with CAUSAL: no output may depend on a later frame.
        device: where it computes.

    Raises:
        AssertionError: saying what the encoder does and what was expected.
    """
    encoder = made(make_encoder, device=device)
    check_outputs(encoder, frame_shape)
    if causal:
        check_causal(encoder, frame_shape)
    check_context(encoder, frame_shape)
    check_batch(encoder, frame_shape)
    check_repeatable(encoder, frame_shape)
    check_inputs_unchanged(encoder, frame_shape)
    check_gradients(encoder, frame_shape)
    check_seed_decides_the_weights(make_encoder)
    check_state_dict(make_encoder, frame_shape)


def made(make_encoder: MakeEncoder, seed: int = 0, device: torch.device | str = "cpu") -> nn.Module:
    """The encoder with weights drawn by this seed, ready to embed; the caller's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_encoder().to(device).eval()


def check_outputs(encoder: nn.Module, frame_shape: Sequence[int]) -> None:
    """One embedding a frame, finite, of the type of the network, also for a video of one frame; and its attributes."""
    require(
        getattr(encoder, "feature_width", None) == frame_shape[0],
        f"feature_width is {getattr(encoder, 'feature_width', 'missing')}; expected {frame_shape[0]}",
    )
    lengths = (1, 2, 9)
    outputs = encoder([_video(encoder, frames, frame_shape) for frames in lengths])
    require(len(outputs) == len(lengths), f"gives {len(outputs)} embeddings for {len(lengths)} videos")
    width = outputs[-1].shape[-1]
    for frames, output in zip(lengths, outputs, strict=True):
        require(
            output.shape == (frames, width),
            f"gives an embedding of shape {tuple(output.shape)} for {frames} frames; expected ({frames}, {width})",
        )
        require(output.dtype == _parameter(encoder).dtype, f"gives {output.dtype}")
        require(bool(torch.isfinite(output).all()), "gives an embedding that isn't finite")


@torch.no_grad()
def check_causal(encoder: nn.Module, frame_shape: Sequence[int]) -> None:
    """Nothing that happens to a later frame, not even NaN, changes an earlier embedding by one bit."""
    require(encoder.frames_ahead == 0, f"frames_ahead is {encoder.frames_ahead}; expected 0 of a causal encoder")
    frames = 23
    video = _video(encoder, frames, frame_shape)
    before = encoder([video])[0]
    for now in (0, 7, frames - 2):
        for future in (torch.full_like(video, math.nan), -10 * video):
            changed = torch.cat([video[: now + 1], future[now + 1 :]])
            after = encoder([changed])[0]
            require(torch.equal(after[: now + 1], before[: now + 1]), f"frame {now} or earlier depends on a later one")


@torch.no_grad()
def check_context(encoder: nn.Module, frame_shape: Sequence[int]) -> None:
    """An embedding depends on as many earlier and later frames as the encoder says, and on no further one."""
    behind, ahead = encoder.frames_behind, encoder.frames_ahead
    margin = 3
    finite_behind, finite_ahead = (int(side) if math.isfinite(side) else 10 for side in (behind, ahead))
    now, frames = finite_behind + margin, finite_behind + finite_ahead + 2 * margin + 1
    video = _video(encoder, frames, frame_shape)
    before, matters = encoder([video])[0][now], []
    for frame in range(frames):
        for attempt in range(TRIES):
            changed = video.clone()
            changed[frame] = 100 * _video(encoder, 1, frame_shape, seed=7 + attempt)[0]
            if not torch.equal(encoder([changed])[0][now], before):
                matters.append(frame)
    require(bool(matters), "no frame changes the embedding")
    for side, stated, found in (
        ("frames_behind", behind, now - min(matters)), ("frames_ahead", ahead, max(matters) - now)
    ):  # fmt: skip
        if math.isfinite(stated):
            require(stated == found, f"{side} is {stated}, but the embedding depends on {found}")


@torch.no_grad()
def check_batch(encoder: nn.Module, frame_shape: Sequence[int]) -> None:
    """The videos of a batch, of different lengths, are embedded as each alone."""
    videos = [_video(encoder, frames, frame_shape, seed=frames) for frames in (5, 1, 17, 40)]
    together = encoder(videos)
    for index, (video, output) in enumerate(zip(videos, together, strict=True)):
        alone = encoder([video])[0]
        require(
            torch.allclose(alone, output, rtol=1e-4, atol=1e-5),
            f"video {index} of a batch is embedded otherwise than alone, by up to {(alone - output).abs().max():.2g}",
        )


@torch.no_grad()
def check_repeatable(encoder: nn.Module, frame_shape: Sequence[int]) -> None:
    """In evaluation mode the same video has the same embedding, whatever came between."""
    video, other = _video(encoder, 12, frame_shape), _video(encoder, 30, frame_shape, seed=1)
    first = encoder([video])[0]
    encoder([other])
    require(torch.equal(first, encoder([video])[0]), "embeds the same video in two ways")


def check_inputs_unchanged(encoder: nn.Module, frame_shape: Sequence[int]) -> None:
    """The features stay as they are, through the backward pass too."""
    video = _video(encoder, 12, frame_shape)
    before = video.clone()
    encoder([video])[0].square().sum().backward()
    encoder.zero_grad()
    require(torch.equal(video, before), "changes the features that it is given")


def check_gradients(encoder: nn.Module, frame_shape: Sequence[int]) -> None:
    """A gradient reaches every video and every parameter."""
    videos = [_video(encoder, frames, frame_shape, seed=frames).requires_grad_() for frames in (40, 25)]
    loss = sum(output.square().sum() for output in encoder(videos))
    require(loss.requires_grad, "gives embeddings without a gradient")
    loss.backward()
    for index, video in enumerate(videos):
        require(video.grad is not None and bool(video.grad.any()), f"no gradient reaches video {index}")
    for name, parameter in encoder.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.any())
        require(reached, f"no gradient reaches the parameter {name}")
    encoder.zero_grad()


def check_seed_decides_the_weights(make_encoder: MakeEncoder) -> None:
    """The weights are drawn from torch's global generator and from nothing else."""
    first, again, other = (made(make_encoder, seed).state_dict() for seed in (3, 3, 4))
    require(all(torch.equal(value, again[name]) for name, value in first.items()), "one seed gives two encoders")
    require(any(not torch.equal(value, other[name]) for name, value in first.items()), "two seeds give one encoder")


@torch.no_grad()
def check_state_dict(make_encoder: MakeEncoder, frame_shape: Sequence[int]) -> None:
    """A checkpoint holds all of it: built without memory and filled from the state dict, it embeds the same."""
    encoder = made(make_encoder)
    with torch.device("meta"):
        loaded = make_encoder()
    loaded = loaded.to_empty(device="cpu")
    for tensor in (*loaded.parameters(), *loaded.buffers()):
        if tensor.is_floating_point():
            tensor.fill_(math.nan)
    loaded.load_state_dict(encoder.state_dict(), strict=True)
    video = _video(encoder, 12, frame_shape)
    same = torch.equal(encoder([video])[0], loaded.eval()([video])[0])
    require(same, "embeds otherwise once its state dict is loaded: something isn't in the state dict")


def _parameter(encoder: nn.Module) -> Tensor:
    return next(encoder.parameters())


def _video(encoder: nn.Module, frames: int, frame_shape: Sequence[int], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, *frame_shape, generator=generator).to(_parameter(encoder))
