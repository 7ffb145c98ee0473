import pytest
import torch

from tests.utils.loss_functions.oracles_cycle import naive_softmax_row
from utils.loss_functions.similarity import SIMILARITIES, scaling_of, similarity_logits, softmax_of


def embeddings(*shape, seed=0, scale=1.0, dtype=torch.float64):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_softmax_is_that_of_the_distances(similarity):
    queries, keys = embeddings(3, 5, 4), embeddings(3, 6, 4, seed=1)
    batched = similarity_logits(queries, keys, 0.3, similarity).softmax(-1)
    for b in range(3):
        single = similarity_logits(queries[b], keys[b], 0.3, similarity).softmax(-1)
        for a in range(5):
            expected = naive_softmax_row(queries[b, a], keys[b], 0.3, similarity)
            assert torch.allclose(batched[b, a], expected, rtol=1e-10)
            assert torch.allclose(single[a], expected, rtol=1e-10)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_gradient_of_a_softmax_by_finite_differences(similarity):
    queries, keys = embeddings(2, 4, 3).requires_grad_(), embeddings(2, 5, 3, seed=1).requires_grad_()

    def soft(q, k):
        return similarity_logits(q, k, 0.5, similarity).softmax(-1)

    assert torch.autograd.gradcheck(soft, (queries, keys))
    assert torch.autograd.gradcheck(
        soft, (queries[0].detach().requires_grad_(), keys[0].detach().requires_grad_())
    )


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_frames_have_a_finite_gradient(similarity, dtype):
    for frames in (torch.zeros(4, 3, dtype=dtype), embeddings(4, 3, scale=100.0, dtype=dtype)):
        queries, keys = frames.clone().requires_grad_(), frames.clone().requires_grad_()
        weights = similarity_logits(queries, keys, 0.1, similarity).softmax(-1)
        (weights * torch.arange(4)).sum().backward()
        assert torch.isfinite(queries.grad).all()
        assert torch.isfinite(keys.grad).all()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_far_from_the_origin_nothing_is_lost(similarity):
    queries, keys = embeddings(6, 16, scale=0.1), embeddings(7, 16, scale=0.1, seed=1)
    expected = similarity_logits(queries, keys, 0.1, similarity).softmax(-1)
    far = similarity_logits((queries + 50).float(), (keys + 50).float(), 0.1, similarity).softmax(-1)
    # float32 keeps 50 + x to about 2e-6.
    assert torch.allclose(far.double(), expected, rtol=5e-3, atol=1e-5)


def test_division_by_the_number_of_dimensions():
    queries, keys = embeddings(3, 8), embeddings(4, 8, seed=1)
    per_dimension = similarity_logits(queries, keys, 0.1, "squared_per_dimension")
    assert torch.allclose(per_dimension, similarity_logits(queries, keys, 0.8, "squared"))


def test_softmax_without_denormals():
    logits = torch.tensor([[0.0, -50.0, -95.0, -1e4], [3.0, 3.0, 3.0, 3.0]])
    weights = softmax_of(logits.clone())
    assert torch.allclose(weights, logits.softmax(-1), atol=1e-20)
    assert weights[weights > 0].min() > torch.finfo(torch.float32).tiny


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="squared_per_dimension"):
        scaling_of("cosine", 0.1, 4)
    for temperature in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="temperature"):
            scaling_of("squared", temperature, 4)
