import numpy as np
import pytest
import torch
from matplotlib.image import imread

from utils.figures import embedding_map
from utils.figures.embedding_map import neighbour_embedding, plot_embedding_map, principal_components
from utils.figures.loss_curves import plot_loss_curves


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_components_are_those_of_the_singular_value_decomposition():
    frames = noise(40, 6) * torch.tensor([5.0, 3, 1, 1, 1, 1]) + 7
    positions, shares = principal_components(frames)
    centred = frames.double().numpy() - frames.double().numpy().mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(positions.numpy()), np.abs(left[:, :2] * values[:2]), atol=1e-9)
    np.testing.assert_allclose(shares, values[:2] ** 2 / (values**2).sum(), atol=1e-12)


def test_components_turn_neither_with_the_origin_nor_with_the_order_of_frames():
    frames, order = noise(30, 5), torch.randperm(30, generator=torch.Generator().manual_seed(1))
    positions, _ = principal_components(frames)
    torch.testing.assert_close(principal_components(frames.double() + 3)[0], positions)
    torch.testing.assert_close(principal_components(frames[order])[0], positions[order])


@pytest.mark.parametrize("frames", [torch.ones(5, 3), torch.ones(1, 3), noise(5, 1), torch.zeros(1, 1)])
def test_components_of_too_little_are_finite(frames):
    positions, shares = principal_components(frames)
    assert positions.shape == (len(frames), 2)
    assert torch.isfinite(positions).all()
    assert all(0 <= share <= 1 + 1e-12 for share in shares)


@pytest.mark.parametrize("count", [4, 40])
def test_neighbour_embedding_keeps_groups_apart_and_repeats_itself(count):
    frames = torch.cat([noise(count // 2, 4), noise(count // 2, 4, seed=1) + 50])
    positions = neighbour_embedding(frames)
    assert positions.shape == (count, 2)
    assert torch.equal(positions, neighbour_embedding(frames))
    if count == 40:
        inside = torch.cdist(positions[:20], positions[:20]).mean()
        assert torch.cdist(positions[:20], positions[20:]).mean() > 1.5 * inside


def test_neighbour_embedding_of_identical_frames_is_finite():
    assert torch.isfinite(neighbour_embedding(torch.ones(6, 3))).all()


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("lengths", [[1, 5], [30], [90, 40, 35]])
def test_map_is_drawn_thinned_for_any_number_of_videos(tmp_path, monkeypatch, method, lengths):
    monkeypatch.setitem(embedding_map.MAXIMUM_FRAMES, method, 50)
    videos = [noise(length, 4, seed=length) for length in lengths]
    progress = [np.linspace(0, 1, length) for length in lengths]
    path = tmp_path / "map.png"
    counted = []

    def counting(frames, wrapped=principal_components):
        counted.append(len(frames))
        return wrapped(frames)

    monkeypatch.setattr(embedding_map, "principal_components", counting)
    plot_embedding_map(path, {"trained": videos, "other $x_{$": videos}, progress, "task $y^{$", method)
    height, width, _ = imread(path).shape
    assert width > height
    assert max(counted) <= 50 + len(lengths)


def test_bad_requests_are_named(tmp_path):
    one = [noise(1, 2)]
    with pytest.raises(ValueError, match="'umap'; expected one of pca, tsne"):
        plot_embedding_map(tmp_path / "x.png", {"a": one}, [np.zeros(1)], "tea", "umap")
    with pytest.raises(ValueError, match="tea: 1 frames; tsne needs at least 4"):
        plot_embedding_map(tmp_path / "x.png", {"a": one}, [np.zeros(1)], "tea", "tsne")
    assert not list(tmp_path.iterdir())


class TestLossCurves:
    @pytest.fixture
    def drawn(self, monkeypatch):
        figures = []
        from utils.figures import loss_curves

        real = loss_curves.Figure.savefig

        def savefig(figure, *arguments, **settings):
            figures.append(figure)
            real(figure, *arguments, **settings)

        monkeypatch.setattr(loss_curves.Figure, "savefig", savefig)
        return figures

    def test_equal_curves_share_a_panel_and_the_lowest_validation_loss_is_said(self, tmp_path, drawn):
        rows = [
            {"epoch": e, **{f"{g}_{t}_loss": v for g in ("train", "val") for t in ("alignment", "tcc")}}
            | {"train_total_loss": 2.0 * e, "val_total_loss": v, "train_lambda": 1.0}
            for e, v in enumerate([3.0, 1.5, float("nan"), 2.0])
        ]
        plot_loss_curves(rows, tmp_path / "loss.png")
        (figure,) = drawn
        assert [axes.get_title() for axes in figure.axes] == ["alignment = tcc loss", "total loss"]
        for axes in figure.axes:
            labels = [text.get_text() for text in axes.get_legend().get_texts()]
            assert labels == ["training", "validation", "lowest: 1.5, epoch 2"]

    @pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
    def test_one_epoch_without_validation(self, tmp_path, drawn, value):
        plot_loss_curves([{"epoch": 0, "train_total_loss": value}], tmp_path / "loss.png")
        assert (tmp_path / "loss.png").is_file()
        assert [line.get_label() for line in drawn[0].axes[0].lines] == ["training"]
