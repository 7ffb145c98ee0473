import pytest
import torch

from tests.utils.loss_functions import oracles_alignment as oracle
from utils.loss_functions import contrastive
from utils.loss_functions.contrastive import contrastive_inverse_difference_moment
from utils.loss_functions.similarity import SIMILARITIES


def random_frames(length, width, seed=0):
    return torch.randn(length, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("block", [1, 30, 2**17])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("length", [2, 3, 9])
def test_value_and_gradient_are_those_of_the_formula(length, similarity, block, monkeypatch):
    monkeypatch.setitem(contrastive._BLOCK_ELEMENTS, "cpu", block)
    monkeypatch.setattr(contrastive, "_SMALLEST_BLOCK", 1)
    frames = random_frames(length, 3).requires_grad_()

    def naive(videos):
        return oracle.regulariser(videos[0], 0.25, 1.7, similarity)

    value = contrastive_inverse_difference_moment(frames, 0.25, 1.7, similarity)
    assert value.item() == pytest.approx(naive([frames.tolist()]), rel=1e-9)
    (gradient,) = torch.autograd.grad(value, frames)
    torch.testing.assert_close(gradient, oracle.slopes(naive, [frames.tolist()])[0], atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_gradient_by_finite_differences(similarity):
    frames = random_frames(8, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda each: contrastive_inverse_difference_moment(each, 0.2, 2.0, similarity), frames
    )


def test_both_parts_have_a_gradient():
    # Two groups of frames with a gap: neighbours are pulled together, distant frames pushed apart.
    frames = torch.tensor([[0.0], [0.1], [0.2], [0.3]], dtype=torch.float64, requires_grad=True)
    pull = contrastive_inverse_difference_moment(frames, 1.0, 2.0)  # all frames are neighbours
    (gradient,) = torch.autograd.grad(pull, frames)
    assert gradient[0] < 0 < gradient[-1]  # downhill, the first frame moves up and the last one down
    push = contrastive_inverse_difference_moment(frames, 0.0, 2.0)
    (gradient,) = torch.autograd.grad(push, frames)
    assert gradient[-1] < 0 < gradient[0]


def test_size_does_not_depend_on_the_sampling_rate():
    def sampled(length):
        time = torch.linspace(0, 6, length, dtype=torch.float64)
        return torch.stack([(k * time).sin() for k in (1, 2, 3)], 1)

    values = [contrastive_inverse_difference_moment(sampled(length)).item() for length in (100, 200, 800)]
    assert values[0] == pytest.approx(values[2], rel=0.1)
    assert values[1] == pytest.approx(values[2], rel=0.05)


def test_bounds_and_invariance():
    frames = random_frames(40, 5, seed=2)
    value = contrastive_inverse_difference_moment(frames)
    torch.testing.assert_close(contrastive_inverse_difference_moment(frames + 100.0), value)
    torch.testing.assert_close(contrastive_inverse_difference_moment(frames.flip(0)), value)
    constant = torch.ones(40, 5, dtype=torch.float64, requires_grad=True)
    collapsed = contrastive_inverse_difference_moment(constant, margin=1.5)
    collapsed.backward()
    assert collapsed.item() == pytest.approx(1.5)  # no pull, the whole margin of push
    assert constant.grad.abs().max() == 0
    single = torch.ones(1, 5, requires_grad=True)
    assert contrastive_inverse_difference_moment(single).item() == 0


def test_bad_arguments_are_refused():
    for name, value in (("window", -0.1), ("window", 2.0), ("margin", 0.0), ("similarity", "cosine")):
        with pytest.raises(ValueError, match=name):
            contrastive_inverse_difference_moment(torch.zeros(4, 2), **{name: value})
    with pytest.raises(ValueError, match="frames, dimensions"):
        contrastive_inverse_difference_moment(torch.zeros(4))
