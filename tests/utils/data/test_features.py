import functools
import io
import os
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils.data import npy_file
from utils.data.features import FeatureFormat, feature_path, open_features, read_features, scan_features
from utils.data.standardization import Moments, checked_standardization, standardization_from_moments
from utils.errors import DataError

FEATURES, MAPS = FeatureFormat(), FeatureFormat(rank=4)


def saved(tmp_path, array, name="v.npy"):
    path = tmp_path / name
    np.save(path, array)
    return path


def test_a_scan_reports_the_shape(tmp_path):
    path = saved(tmp_path, np.zeros((7, 3), np.float16))
    scan = scan_features(path, FEATURES)
    assert (scan.file_frames, scan.frames, scan.shape, scan.moments) == (7, 7, (3,), None)
    assert scan_features(path, FeatureFormat(skip_rate=3)).frames == 3
    maps = saved(tmp_path, np.zeros((4, 5, 2, 2), np.float32), "maps.npy")
    assert scan_features(maps, MAPS).shape == (5, 2, 2)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(5), r"shape \(5,\); expected 2 axes"),
        (np.zeros((5, 2, 2)), "expected 2 axes"),
        (np.float32(1), r"shape \(\); expected 2 axes"),
        (np.zeros((5, 0)), "width of at least 1"),
        (np.zeros((0, 3)), "0 frames; expected at least 2"),
        (np.zeros((1, 3)), "1 frame; expected at least 2"),
        (np.zeros((5, 3), complex), "complex128; expected real numbers"),
        (np.zeros((5, 3), bool), "bool; expected real numbers"),
        (np.array([["a"], ["b"]]), "expected real numbers"),
        (np.array([[0.0, 1.0], [2.0, np.nan]]), "nan at frame 1, feature 1"),
        (np.array([[0.0, 1.0], [-np.inf, 2.0]]), "-inf at frame 1, feature 0"),
        (np.array([[0.0, 1e300], [0.0, 2.0]]), "inf at frame 0, feature 1"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path, array, words):
    with pytest.raises(DataError, match=words):
        scan_features(saved(tmp_path, array), FEATURES)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such feature file"):
        scan_features(tmp_path / "missing.npy", FEATURES)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((100, 3)))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.npy", buffer.getvalue())
    for content in (
        b"",
        b"\x93NUMPY",
        b"not numpy",
        buffer.getvalue()[:200],
        buffer.getvalue()[:40],
        archive.getvalue(),
    ):
        path = tmp_path / "broken.npy"
        path.write_bytes(content)
        with pytest.raises(DataError):
            scan_features(path, FEATURES)


def test_pickled_objects_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("a pickle was loaded",)

    path = saved(tmp_path, np.array([[Trap()]], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        scan_features(path, FEATURES)


def test_the_place_of_a_bad_value_is_right_across_blocks_and_skips(tmp_path, monkeypatch):
    monkeypatch.setattr(npy_file, "BLOCK_BYTES", 32)
    array = np.zeros((50, 3))
    array[42, 2] = np.nan
    with pytest.raises(DataError, match="frame 42, feature 2"):
        scan_features(saved(tmp_path, array), FEATURES)
    with pytest.raises(DataError, match="frame 42, feature 2"):
        scan_features(saved(tmp_path, array), FeatureFormat(skip_rate=3))
    # Frame 42 isn't used.
    assert scan_features(saved(tmp_path, array), FeatureFormat(skip_rate=4)).frames == 13


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 2**31))
def test_merged_moments_are_those_of_all_frames(lengths, seed):
    generator = np.random.default_rng(seed)
    parts = [generator.normal(1e4, 0.5, size=(length, 3)) for length in lengths]
    total = functools.reduce(Moments.merge, map(Moments.of, parts))
    everything = np.concatenate(parts)
    assert total.count == len(everything)
    np.testing.assert_allclose(total.mean, everything.mean(0), rtol=1e-12)
    np.testing.assert_allclose(total.squares, np.square(everything - everything.mean(0)).sum(0), rtol=1e-6)


def test_standardization_is_mean_and_population_deviation():
    values = np.random.default_rng(0).normal(1e3, 0.5, size=(50, 3))
    result = standardization_from_moments([Moments.of(values[:20]), Moments.of(values[20:])])
    assert result["mean"].dtype == result["std"].dtype == torch.float32
    np.testing.assert_allclose(result["mean"].numpy(), values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(result["std"].numpy(), values.std(0), rtol=1e-6)


def test_blocks_do_not_change_the_moments(tmp_path, monkeypatch):
    array = np.random.default_rng(0).normal(3, 2, size=(101, 4)).astype(np.float32)
    path = saved(tmp_path, array)
    whole = scan_features(path, FEATURES, with_moments=True).moments
    monkeypatch.setattr(npy_file, "BLOCK_BYTES", 32)
    blocks = scan_features(path, FEATURES, with_moments=True).moments
    assert blocks.count == whole.count == 101
    np.testing.assert_allclose(blocks.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(blocks.squares, whole.squares, rtol=1e-12)


@pytest.mark.parametrize("features_first", [False, True])
def test_the_checksum_is_of_every_used_value_whatever_the_blocks(tmp_path, monkeypatch, features_first):
    file_format = FeatureFormat(features_first=features_first, skip_rate=2)
    array = np.random.default_rng(0).normal(size=(21, 21)).astype(np.float32)
    whole = scan_features(saved(tmp_path, array), file_format).checksum
    assert scan_features(saved(tmp_path, array.astype(np.float64)), file_format).checksum == whole
    monkeypatch.setattr(npy_file, "BLOCK_BYTES", 100)
    assert scan_features(saved(tmp_path, array), file_format).checksum == whole
    for frame, is_used in ((19, False), (20, True)):
        changed = array.copy()
        changed[(3, frame) if features_first else (frame, 3)] += 1e-6
        assert (scan_features(saved(tmp_path, changed), file_format).checksum != whole) == is_used


def test_a_scan_holds_a_block_not_the_file(tmp_path):
    path = saved(tmp_path, np.ones((4096, 2048), np.float32))
    tracemalloc.start()
    scan_features(path, FEATURES, with_moments=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < path.stat().st_size / 1.5


def test_constant_features_keep_their_scale():
    values = np.random.default_rng(0).normal(size=(40, 4))
    values[:, 1] = 0.1
    values[:, 2] = 0
    values[:, 3] *= 1e-9
    result = standardization_from_moments([Moments.of(values[:17]), Moments.of(values[17:])])
    assert result["std"][1] == 1
    assert result["std"][2] == 1
    np.testing.assert_allclose(result["std"][3], values[:, 3].std(), rtol=1e-5)


def test_map_moments_are_per_channel(tmp_path):
    array = np.random.default_rng(0).normal(size=(6, 5, 2, 3)).astype(np.float32)
    path = saved(tmp_path, array)
    result = standardization_from_moments([scan_features(path, MAPS, with_moments=True).moments])
    np.testing.assert_allclose(result["mean"].numpy(), array.mean((0, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(result["std"].numpy(), array.std((0, 2, 3)), rtol=1e-5)
    standardized = read_features(path, MAPS, result)
    assert standardized.shape == (6, 5, 2, 3)
    np.testing.assert_allclose(standardized.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(standardized.std((0, 2, 3), correction=0), 1, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8, ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reading_gives_owned_single_precision_rows(tmp_path, dtype, order):
    array = np.arange(30).reshape(10, 3).astype(dtype, order=order)
    path = saved(tmp_path, array)
    result = read_features(path, FeatureFormat(skip_rate=3))
    assert result.dtype == torch.float32
    assert result.is_contiguous()
    assert torch.equal(result, torch.tensor([[0, 1, 2], [9, 10, 11], [18, 19, 20], [27, 28, 29]]).float())
    result += 1  # writable, and the file keeps its values
    assert torch.equal(read_features(path, FeatureFormat(skip_rate=3))[0], torch.tensor([0.0, 1.0, 2.0]))


@given(st.integers(2, 30), st.integers(1, 5), st.integers(1, 4), st.data())
def test_a_features_first_file_reads_as_the_transposed_one(tmp_path_factory, frames, width, skip_rate, data):
    array = np.random.default_rng(frames).normal(size=(frames, width)).astype(np.float32)
    folder = tmp_path_factory.mktemp("layouts")
    plain, turned = saved(folder, array, "plain.npy"), saved(folder, array.T.copy(), "turned.npy")
    plain_format = FeatureFormat(skip_rate=skip_rate)
    turned_format = FeatureFormat(skip_rate=skip_rate, features_first=True)
    used = -(-frames // skip_rate)
    chosen = np.array(sorted(data.draw(st.sets(st.integers(0, used - 1), min_size=1))))
    for indices in (None, chosen):
        expected = read_features(plain, plain_format, frames=indices)
        result = read_features(turned, turned_format, frames=indices)
        assert result.is_contiguous()
        assert torch.equal(result, expected)
        assert torch.equal(
            expected, torch.from_numpy(array[::skip_rate] if indices is None else array[::skip_rate][indices])
        )
    if used >= 2:
        first, second = (
            scan_features(path, file_format, with_moments=True)
            for path, file_format in ((plain, plain_format), (turned, turned_format))
        )
        assert (first.file_frames, first.frames, first.shape) == (frames, used, (width,))
        assert (second.file_frames, second.frames, second.shape) == (frames, used, (width,))
        np.testing.assert_allclose(first.moments.mean, second.moments.mean)


def test_the_place_of_a_bad_value_is_right_in_either_layout(tmp_path):
    array = np.zeros((50, 3))
    array[42, 2] = np.inf
    array[42, 0] = -np.inf
    path = saved(tmp_path, array.T.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for with_moments in (False, True):
            with pytest.raises(DataError, match="-inf at frame 42, feature 0"):
                scan_features(path, FeatureFormat(features_first=True), with_moments)


def test_finite_values_whose_sum_is_not_are_fine(tmp_path):
    array = np.full((100, 3), 3e38, np.float32)
    assert scan_features(saved(tmp_path, array), FEATURES).frames == 100
    array[50] = -np.inf
    array[51] = np.inf
    with pytest.raises(DataError, match="-inf at frame 50, feature 0"):
        scan_features(saved(tmp_path, array), FEATURES)


@pytest.mark.parametrize("features_first", [False, True])
def test_a_few_frames_are_read_without_the_others(tmp_path, features_first):
    array = np.ones((20_000, 256), np.float32)
    path = saved(tmp_path, array.T.copy() if features_first else array)
    tracemalloc.start()
    read_features(path, FeatureFormat(features_first=features_first), frames=np.arange(0, 20_000, 100))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < path.stat().st_size / 20


def test_a_file_that_changed_is_noticed(tmp_path):
    path = saved(tmp_path, np.zeros((9, 3)))
    assert len(read_features(path, FeatureFormat(skip_rate=2), expected_frames=5)) == 5
    with pytest.raises(DataError, match="gives 9 frames; expected the 5"):
        read_features(path, FEATURES, expected_frames=5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_cut_short_while_it_is_read_is_an_error_and_not_the_end_of_the_process(tmp_path, order):
    """Of a memory map the system would say so by SIGBUS."""
    path = saved(tmp_path, np.asarray(np.ones((2000, 300)), order=order))
    features = open_features(path, FEATURES)
    strips = features.strips(np.arange(2000))
    next(strips)
    os.truncate(path, 4096)
    with pytest.raises(DataError, match="was cut short while it was read"):
        list(strips)
    with pytest.raises(DataError, match="was changed while it was read"):
        features.read(np.arange(2000))


def test_a_file_written_anew_with_the_same_shape_is_noticed(tmp_path):
    path = saved(tmp_path, np.zeros((9, 3)))
    stamp = scan_features(path, FEATURES).stamp
    read_features(path, FEATURES, expected_stamp=stamp)
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(DataError, match="was rewritten after the data was checked"):
        read_features(path, FEATURES, expected_stamp=stamp)


@given(st.integers(1, 400), st.integers(1, 40), st.sampled_from(["<f4", ">f4", "<f8", "<i2"]), st.data())
def test_any_choice_of_rows_is_read_as_numpy_would(tmp_path_factory, rows, width, dtype, data):
    array = np.arange(rows * width).reshape(rows, width).astype(dtype)
    path = saved(tmp_path_factory.getbasetemp(), array)
    indices = np.array(sorted(data.draw(st.sets(st.integers(0, rows - 1)))), int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npy_file, "BLOCK_BYTES", data.draw(st.sampled_from([1, 64, 1 << 19])))
        patch.setattr(npy_file, "LARGEST_GAP", data.draw(st.sampled_from([0, 100, 1 << 16])))
        result = npy_file.open_npy(path).read(indices)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert result.flags.writeable
    np.testing.assert_array_equal(result, array[indices].astype(np.float32))


def npy(header, content=b""):
    """An .npy file with any header text."""
    text = header.encode("latin1")
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def header(shape, descr="'<f4'", order="False"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    "content",
    [
        npy(header("(4, 3)"), bytes(48 - 4)),
        npy(header("(4, 3)"), bytes(48 + 1)),
        npy(header("(4, 3)"), bytes(96)),
        npy(header("(4000000000, 4000000000)"), bytes(48)),
        npy(header("(4294967296, 4294967296)")),
        npy(header("(9223372036854775807, 2)"), bytes(48)),
        npy(header("(99999999999999999999999, 3)"), bytes(48)),
        npy(header("(-4, -3)"), bytes(48)),
        npy(header("(-4, 3)"), bytes(48)),
        npy(header("(4.0, 3)"), bytes(48)),
        npy(header("[4, 3]"), bytes(48)),
        npy(header("(4, 3)", descr="'|O'"), bytes(96)),
        npy(header("(4, 3)", descr="[('a', '<f4'), ('b', '<f4')]"), bytes(96)),
        npy(header("(4, 3)", descr="'<f99'"), bytes(96)),
        npy(header("(4, 3)", descr="None"), bytes(96)),
        npy(header("(4, 3)", descr="('<f4', (2,))"), bytes(96)),
        npy(header("(4, 3)", order="'maybe'"), bytes(48)),
        npy(header("__import__('os')"), bytes(48)),
        npy("(" * 5000, bytes(48)),
        npy("[" * 200 + "]" * 200, bytes(48)),
        npy("{'descr': '<f4'}", bytes(48)),
        npy("", bytes(48)),
        npy("\x00" * 100, bytes(48)),
        b"\x93NUMPY\x07\x00" + bytes(200),
        b"PK\x03\x04 not a zip archive",
        b"PK\x05\x06" + bytes(18),
        b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00C\x01a\x94.",
    ],
)
def test_damaged_and_hostile_files_are_one_clear_error(tmp_path, content):
    path = tmp_path / "v.npy"
    path.write_bytes(content)
    for features_first in (False, True):
        with pytest.raises(DataError) as caught:
            scan_features(path, FeatureFormat(features_first=features_first))
        assert len(caught.value.problems) == 1
        assert len(str(caught.value)) < 500


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")  # opening it would wait for a writer without end
    (tmp_path / "folder.npy").mkdir()
    for name in ("pipe.npy", "folder.npy"):
        with pytest.raises(DataError, match="not a regular file"):
            scan_features(tmp_path / name, FEATURES)
    with pytest.raises(DataError):
        scan_features(tmp_path / ("long" * 1000), FEATURES)


def test_a_given_standardization_is_checked():
    good = {"mean": torch.zeros(3), "std": torch.ones(3)}
    assert torch.equal(checked_standardization(good, 3)["std"], torch.ones(3))
    for bad, words in [
        ({"mean": torch.zeros(3)}, "unusable"),
        ({"mean": "x", "std": "y"}, "unusable"),
        ({**good, "mean": torch.zeros(4)}, r"shape \(4,\); expected \(3,\)"),
        ({**good, "std": torch.tensor([1.0, 0.0, 1.0])}, "not above 0"),
        ({**good, "mean": torch.tensor([1.0, torch.nan, 1.0])}, "not finite"),
    ]:
        with pytest.raises(DataError, match=words):
            checked_standardization(bad, 3)


def test_paths(tmp_path):
    assert feature_path(tmp_path / "features", "v.1") == tmp_path / "features" / "v.1.npy"
