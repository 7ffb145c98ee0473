import numpy as np
import pytest
import torch
from matplotlib.image import imread

from utils.figures import embedding_map
from utils.figures.embedding_map import neighbour_embedding, plot_embedding_map, principal_components


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


def drawn_points(figure):
    """By the title of a panel, the points of its frames."""
    return {axes.get_title(): axes.collections[0].get_offsets() for axes in figure.axes if axes.get_title()}


def test_every_embedding_has_a_panel_that_shows_its_own_frames_in_their_colours(tmp_path, drawn):
    videos = [noise(length, 4, seed=length) for length in (6, 9)]
    progress = [np.linspace(0, 1, len(video)) for video in videos]
    networks = {"raw features": [video @ noise(4, 7) for video in videos], "untrained": videos, "_trained": videos}
    networks |= {f"more {number}": videos for number in range(2)}
    plot_embedding_map(tmp_path / "map.png", networks, progress, "tea")
    points = drawn_points(drawn[0])
    assert list(points) == list(networks)
    for name, embeddings in networks.items():
        np.testing.assert_allclose(points[name], principal_components(torch.cat(embeddings))[0])
    colours = drawn[0].axes[0].collections[0].get_array()
    np.testing.assert_allclose(colours, np.concatenate(progress))
    assert drawn[0].get_suptitle() == "tea · 2 videos"


def test_frames_that_depend_on_padding_are_left_out_and_the_picture_says_so(tmp_path, drawn):
    videos = [noise(length, 4, seed=length) for length in (10, 12, 5)]
    progress = [np.linspace(0, 1, len(video)) for video in videos]
    plot_embedding_map(tmp_path / "map.png", {"a": videos}, progress, "tea", skip_start=3, skip_end=2)
    kept = [video[3:-2] for video in videos[:2]]
    np.testing.assert_allclose(drawn_points(drawn[0])["a"], principal_components(torch.cat(kept))[0])
    assert drawn[0].get_suptitle() == (
        "tea · 2 videos\nwithout the first 3 frames and the last 2 frames of each video, which depend on padding "
        "before or after it, and 1 shorter video"
    )


@pytest.mark.parametrize(("behind", "ahead"), [(12, 0), (float("inf"), float("inf")), (0, 100)])
def test_where_nothing_would_be_left_all_frames_are_drawn_and_the_picture_says_so(tmp_path, drawn, behind, ahead):
    videos, progress = [noise(10, 4)], [np.linspace(0, 1, 10)]
    plot_embedding_map(tmp_path / "map.png", {"a": videos}, progress, "tea", skip_start=behind, skip_end=ahead)
    assert len(drawn_points(drawn[0])["a"]) == 10
    assert "too few others to draw alone" in drawn[0].get_suptitle()


def test_tsne_falls_back_to_all_frames_where_it_needs_more(tmp_path, drawn):
    plot_embedding_map(tmp_path / "m.png", {"a": [noise(8, 4)]}, [np.zeros(8)], "tea", "tsne", skip_start=5)
    assert len(drawn_points(drawn[0])["a"]) == 8


def test_bad_requests_are_named(tmp_path):
    one = [noise(1, 2)]
    with pytest.raises(ValueError, match="'umap'; expected one of pca, tsne"):
        plot_embedding_map(tmp_path / "x.png", {"a": one}, [np.zeros(1)], "tea", "umap")
    with pytest.raises(ValueError, match="tea: 1 frames; tsne needs at least 4"):
        plot_embedding_map(tmp_path / "x.png", {"a": one}, [np.zeros(1)], "tea", "tsne")
    assert not list(tmp_path.iterdir())

