"""What every alignment loss must do. From a test of your own:

    from tests.contracts.losses import check_loss

    def test_my_loss():
        check_loss(my_loss, {"margin": 0.5})

Every contract is a function of its own too, called with `term_of(my_loss, {...})`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.contracts.requirement import random_walk, require
from utils.loss_functions.alignment_terms import AlignmentTerm

WIDTH = 6
LENGTHS = (30, 21, 26)
# One frame, two frames, one against many, long against short.
ODD_LENGTHS = ((1, 1), (2, 2), (1, 30), (2, 30), (150, 3))


@dataclass
class Batch:
    """What the training gives a loss: embeddings (T_i, D), contexts (D + 1,), time_dicts."""

    outputs: list[Tensor]
    dropouts: list[Tensor]
    times: list[dict[str, Any]]

    @classmethod
    def of(cls, videos: Sequence[Tensor]) -> Batch:
        """A batch of these embeddings."""
        outputs = [video.clone().requires_grad_() for video in videos]
        width = videos[0].shape[1]
        dropouts = [random_walk(1, width + 1, 50 + i).to(video)[0] for i, video in enumerate(videos)]
        return cls(outputs, dropouts, [_time_dict(len(video), f"video {i}") for i, video in enumerate(videos)])


def check_loss(
    loss: Callable[..., Tensor],
    parameters: Mapping[str, Any] | None = None,
    *,
    tolerance: float = 1e-3,
    same_in_any_order: bool = True,
    same_under_autocast: bool = False,
    device: torch.device | str = "cpu",
) -> None:
    """All contracts of a loss.

    Args:
        loss: a function of the embeddings, as `utils.loss_functions.alignment_terms` describes.
        parameters: its settings.
        tolerance: by how much, relatively, float32 may differ from float64.
        same_in_any_order: the order of the videos must not matter. Not asked of a loss that draws at random.
        same_under_autocast: it must compute in the precision of the embeddings under a surrounding autocast.
        device: where the embeddings are.

    Raises:
        AssertionError: saying what the loss does and what was expected.
    """
    term = term_of(loss, parameters)
    check_result(term, device)
    check_gradient_reaches_every_video(term, device)
    check_inputs_unchanged(term, device)
    check_repeatable(term, device)
    check_odd_lengths(term, device)
    check_equal_frames(term, device)
    check_precision(term, device, tolerance)
    if same_in_any_order and "generator" not in term.asked_for:
        check_any_order(term, device)
    if same_under_autocast:
        check_autocast(term, device)


def term_of(loss: Callable[..., Tensor], parameters: Mapping[str, Any] | None = None) -> AlignmentTerm:
    """The loss as the training calls it."""
    return AlignmentTerm(getattr(loss, "__name__", "loss"), loss, parameters or {})


def check_result(term: AlignmentTerm, device: torch.device | str = "cpu") -> None:
    """A finite scalar with a gradient, of the type and on the device of the embeddings."""
    for dtype in (torch.float32, torch.float64):
        batch = _batch(LENGTHS, device, dtype)
        value = term.function(batch.outputs, **_supplied(term, batch), **term.parameters)
        require(isinstance(value, Tensor), f"returns {value!r:.80}; expected a tensor")
        require(value.shape == (), f"returns a tensor of shape {tuple(value.shape)}; expected a scalar")
        require(value.dtype == dtype, f"returns {value.dtype} for embeddings of {dtype}")
        require(value.device == batch.outputs[0].device, f"returns a value on {value.device}")
        require(bool(torch.isfinite(value)), f"returns {value.item()}; expected a finite value")
        require(value.requires_grad, "returns a value without a gradient")


def check_gradient_reaches_every_video(term: AlignmentTerm, device: torch.device | str = "cpu") -> None:
    """The embedding of every video gets a finite gradient that isn't zero."""
    _, gradients = _run(term, _batch(LENGTHS, device))
    for index, gradient in enumerate(gradients):
        require(gradient is not None and bool(gradient.any()), f"no gradient reaches video {index} of {len(LENGTHS)}")
        require(bool(torch.isfinite(gradient).all()), f"the gradient of video {index} isn't finite")


def check_inputs_unchanged(term: AlignmentTerm, device: torch.device | str = "cpu") -> None:
    """Embeddings, contexts, time_dicts and settings stay as they are, through the backward pass too."""
    batch, parameters = _batch(LENGTHS, device), copy.deepcopy(term.parameters)
    before = copy.deepcopy((batch.dropouts, batch.times))
    videos = [output.detach().clone() for output in batch.outputs]
    given = list(batch.outputs)
    _run(term, batch)
    for index, (output, video) in enumerate(zip(given, videos, strict=True)):
        require(torch.equal(output.detach(), video), f"changes the embedding of video {index} that it is given")
    same_list = len(batch.outputs) == len(given) and all(a is b for a, b in zip(batch.outputs, given, strict=True))
    require(same_list, "changes the list of embeddings that it is given")
    same_contexts = all(torch.equal(a, b) for a, b in zip(batch.dropouts, before[0], strict=True))
    require(same_contexts, "changes the dropouts that it is given")
    require(batch.times == before[1], "changes the time_dicts that it is given")
    require(term.parameters == parameters, "changes its settings")


def check_repeatable(term: AlignmentTerm, device: torch.device | str = "cpu") -> None:
    """The same batch and generator give the same value and gradient; no other random number is drawn."""
    with torch.random.fork_rng(devices=[]):
        results, states = [], []
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            results.append(_run(term, _batch(LENGTHS, device)))
            states.append(torch.equal(before, torch.get_rng_state()))
    (first, first_gradients), (second, second_gradients) = results
    require(bool(first == second), f"gives {float(first)} and then {float(second)} for the same batch and generator")
    same = all(torch.equal(a, b) for a, b in zip(first_gradients, second_gradients, strict=True))
    require(same, "gives two gradients for the same batch and generator")
    require(all(states), "draws from torch's global generator; expected it to name `generator` and draw from that")


def check_odd_lengths(term: AlignmentTerm, device: torch.device | str = "cpu") -> None:
    """Finite value and gradient for videos of one frame, of two, and of very different lengths."""
    for lengths in ODD_LENGTHS:
        _require_finite(term, _batch(lengths, device), f"videos of {lengths[0]} and {lengths[1]} frames")


def check_equal_frames(term: AlignmentTerm, device: torch.device | str = "cpu") -> None:
    """Finite value and gradient where all frames are the same, and where the videos are: distances of zero."""
    still = random_walk(1, WIDTH).to(device).expand(20, -1)
    _require_finite(term, Batch.of([still, still]), "videos whose frames are all the same")
    zeros = torch.zeros(20, WIDTH, device=device)
    _require_finite(term, Batch.of([zeros, zeros[:12]]), "embeddings that are all zero")
    moving = random_walk(20, WIDTH).to(device)
    _require_finite(term, Batch.of([moving, moving]), "two videos that are the same")


def check_precision(
    term: AlignmentTerm, device: torch.device | str = "cpu", tolerance: float = 1e-3
) -> None:
    """float32 gives the value of float64 up to the tolerance."""
    single, _ = _run(term, _batch(LENGTHS, device))
    double, _ = _run(term, _batch(LENGTHS, device, torch.float64))
    error = abs(float(single) - float(double)) / max(abs(float(double)), 1e-3)
    require(error <= tolerance, f"float32 gives {float(single)}, float64 {float(double)}")


def check_any_order(term: AlignmentTerm, device: torch.device | str = "cpu") -> None:
    """The videos of a batch in another order give the same value."""
    batch = _batch(LENGTHS, device, torch.float64)
    value, _ = _run(term, batch)
    turned = Batch(batch.outputs[::-1], batch.dropouts[::-1], batch.times[::-1])
    other, _ = _run(term, turned)
    require(
        bool(torch.isclose(value, other, rtol=1e-6, atol=1e-9)),
        f"gives {float(value)}, and {float(other)} with the videos in another order",
    )


def check_autocast(term: AlignmentTerm, device: torch.device | str = "cpu") -> None:
    """A surrounding autocast to bfloat16 rounds nothing."""
    value, _ = _run(term, _batch(LENGTHS, device))
    with torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
        rounded, _ = _run(term, _batch(LENGTHS, device))
    require(
        bool(torch.isclose(value, rounded.to(value.dtype), rtol=1e-5)),
        f"gives {float(value)}, and {float(rounded)} under autocast to bfloat16",
    )


def _batch(lengths: Sequence[int], device: torch.device | str, dtype: torch.dtype = torch.float32) -> Batch:
    return Batch.of([random_walk(frames, WIDTH, i, dtype).to(device) for i, frames in enumerate(lengths)])


def _run(term: AlignmentTerm, batch: Batch) -> tuple[Tensor, list[Tensor | None]]:
    """The value, and the gradient of every video."""
    outputs = list(batch.outputs)  # the loss may do what it likes to the list
    value = term(batch.outputs, batch.dropouts, 0, batch.times, torch.Generator().manual_seed(0))
    return value.detach(), list(torch.autograd.grad(value, outputs, allow_unused=True))


def _supplied(term: AlignmentTerm, batch: Batch) -> dict[str, Any]:
    everything = {
        "dropouts": batch.dropouts, "epoch": 0, "global_step": 0, "times": batch.times,
        "generator": torch.Generator().manual_seed(0),
    }  # fmt: skip
    return {name: everything[name] for name in term.asked_for}


def _require_finite(term: AlignmentTerm, batch: Batch, what: str) -> None:
    value, gradients = _run(term, batch)
    require(bool(torch.isfinite(value)), f"gives {float(value)} for {what}")
    finite = all(gradient is None or bool(torch.isfinite(gradient).all()) for gradient in gradients)
    require(finite, f"gives a gradient that isn't finite for {what}")


def _time_dict(frames: int, name: str) -> dict[str, Any]:
    middle = frames // 2
    segments = [("pour", 0, middle - 1), ("stir", middle, frames - 1)] if middle else [("pour", 0, frames - 1)]
    steps, starts, ends = (list(each) for each in zip(*segments, strict=True))
    return {"step": steps, "start_frame": starts, "end_frame": ends, "name": name}
