"""Features in formats other than .npy: the same numbers, and the same errors, by the one reader of features."""

import pickle
import random
import sys
import zipfile

import numpy as np
import pytest
import torch

from tests.utils.data.builders import config_for, features_of, write_folder
from utils.data import array_file
from utils.data.array_file import SUFFIXES, named_file, of_one_format, open_array
from utils.data.dataset import load_data
from utils.data.features import FeatureFormat, open_features, read_features, scan_features
from utils.errors import DataError, MissingExtraError

FEATURES = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def write_npz(path, array):
    np.savez(path, array)


def write_named_npz(path, array):
    np.savez_compressed(path, features=array, labels=np.arange(3))


def write_tensor(path, array):
    torch.save(torch.from_numpy(array.copy()), path)


def write_tensors(path, array):
    torch.save({"features": torch.from_numpy(array.copy()).double(), "labels": torch.arange(3), "rate": 10}, path)


def write_csv(path, array):
    lines = [",".join(f"{value:.9g}" for value in frame) for frame in array.tolist()]
    path.write_text("x,y,z\n" + "\n".join(lines) + "\n\n")


def write_text(path, array):
    path.write_text("\ufeff" + "\n".join("  ".join(f"{value:.9g}" for value in frame) for frame in array.tolist()))


def write_semicolons(path, array):
    path.write_text("\r\n".join(";".join(f"{value:.9g}" for value in frame) for frame in array.tolist()))


def write_parquet(path, array):
    pyarrow = pytest.importorskip("pyarrow")
    columns = {f"joint_{number}": array[:, number] for number in range(array.shape[1])}
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), path)


def write_parquet_of_lists(path, array):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"frame": np.arange(len(array)), "state": list(array)})
    pytest.importorskip("pyarrow.parquet").write_table(table, path)


def write_hdf5(path, array):
    with pytest.importorskip("h5py").File(path, "w") as file:
        file["observations/state"] = array


WRITERS = [
    (".npz", write_npz), (".npz", write_named_npz), (".pt", write_tensor), (".pth", write_tensors),
    (".csv", write_csv), (".txt", write_text), (".tsv", write_semicolons), (".parquet", write_parquet),
    (".parquet", write_parquet_of_lists), (".h5", write_hdf5), (".hdf5", write_hdf5),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "write"), WRITERS)
@pytest.mark.parametrize("file_format", [FeatureFormat(), FeatureFormat(features_first=True, skip_rate=2)])
def test_every_format_gives_what_an_npy_file_gives(tmp_path, suffix, write, file_format):
    array = np.ascontiguousarray(FEATURES.T) if file_format.features_first else FEATURES
    np.save(tmp_path / "v.npy", array)
    write(tmp_path / f"v{suffix}", array)
    paths = [tmp_path / "v.npy", tmp_path / f"v{suffix}"]
    expected, given = (read_features(path, file_format) for path in paths)
    torch.testing.assert_close(given, expected, rtol=1e-6, atol=0)
    some = np.array([1, 4])
    torch.testing.assert_close(
        read_features(paths[1], file_format, frames=some), expected[some], rtol=1e-6, atol=0
    )
    scans = [scan_features(path, file_format, with_moments=True) for path in paths]
    assert (scans[1].file_frames, scans[1].frames, scans[1].shape) == (12, len(expected), (3,))
    np.testing.assert_allclose(scans[1].moments.mean, scans[0].moments.mean, rtol=1e-5)
    assert scans[1].stamp == (paths[1].stat().st_size, paths[1].stat().st_mtime_ns)


def test_maps_in_an_archive(tmp_path):
    maps = np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32)
    np.savez(tmp_path / "v.npz", maps)
    np.testing.assert_array_equal(read_features(tmp_path / "v.npz", FeatureFormat(rank=4)).numpy(), maps)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32, torch.uint8])
def test_tensors_of_any_real_type(tmp_path, dtype):
    torch.save(torch.arange(12).reshape(4, 3).to(dtype), tmp_path / "v.pt")
    np.testing.assert_array_equal(
        read_features(tmp_path / "v.pt", FeatureFormat()).numpy(), np.arange(12).reshape(4, 3).astype(np.float32)
    )


class RunsCode:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return type(self.path).touch, (self.path,)


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_nothing_in_a_file_is_executed(tmp_path, suffix):
    path, trap = tmp_path / f"v{suffix}", RunsCode(tmp_path / "ran")
    if suffix == ".pt":
        torch.save({"features": torch.ones(4, 3), "trap": trap}, path)
    else:
        np.savez(path, np.array([trap], dtype=object))
    with pytest.raises(DataError, match=f"cannot be read as {suffix}"):
        read_features(path, FeatureFormat())
    assert not (tmp_path / "ran").exists()


def damaged(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("v.npz", lambda path: np.savez(path, a=FEATURES, b=FEATURES), r"holds 2 arrays, \['a', 'b'\]; expected one"),
        ("v.npz", lambda path: (write_npz(path, FEATURES), damaged(path)), "cannot be read as .npz"),
        ("v.npz", lambda path: path.write_bytes(b""), "cannot be read as .npz"),
        ("v.npz", lambda path: path.write_bytes(pickle.dumps([1])), "cannot be read as .npz"),
        ("v.npz", lambda path: zipfile.ZipFile(path, "w").close(), "holds 0 arrays"),
        ("v.npz", lambda path: np.save(open(path, "wb"), FEATURES), "expected the suffix .npy"),  # noqa: SIM115
        ("v.npz", lambda path: np.savez(path, np.array(["a"])), "expected real numbers"),
        ("v.npz", lambda path: path.mkdir(), "is not a regular file"),
        ("v.pt", lambda path: torch.save([1.5], path), "holds a list; expected a tensor"),
        ("v.pt", lambda path: torch.save({"a": 1}, path), "holds 0 tensors"),
        ("v.pt", lambda path: torch.save(torch.ones(4, 3).bool(), path), "expected real numbers"),
        ("v.pt", lambda path: torch.save(torch.eye(3).to_sparse(), path), "expected a tensor"),
        ("v.pt", lambda path: path.write_bytes(b"text"), "cannot be read as .pt"),
        ("v.pt", lambda path: torch.save(torch.ones(4), path), r"has shape \(4,\); expected 2 axes"),
        ("v.csv", lambda path: path.write_text(""), "is empty"),
        ("v.csv", lambda path: path.write_text("a,b\n1,2\n\n3,x\n"), "line 4 is not a frame of numbers"),
        ("v.csv", lambda path: path.write_text("1,2\n3\n"), "cannot be read as .csv|line 2"),
        ("v.csv", lambda path: path.write_text("1,2\nnan,3\n4,5\n"), "holds nan at frame 1, feature 0"),
        ("v.csv", lambda path: path.write_text("1,2\n3,1e99\n4,5\n"), "holds inf at frame 1, feature 1"),
        ("v.csv", lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot be read as text in UTF-8"),
        ("v.parquet", lambda path: path.write_bytes(b"PAR1"), "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_as_in_an_npy_file(tmp_path, name, write, words):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow.parquet")
    write(tmp_path / name)
    with pytest.raises(DataError, match=words):
        scan_features(tmp_path / name, FeatureFormat())


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [1.0, 2.0], "name": ["x", "y"]}, r"the columns \['name'\] are not of numbers"),
        ({"a": [1.0, None]}, "column 'a' has 1 missing values"),
        ({"a": [[1.0, 2.0], [3.0]]}, "the lists of column 'a' have different lengths"),
        ({"a": [[1.0], [2.0]], "b": [[1.0], [2.0]]}, r"holds 2 columns, \['a', 'b'\]"),
    ],
)
def test_tables_that_hold_other_things_than_numbers(tmp_path, columns, words):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), tmp_path / "v.parquet")
    with pytest.raises(DataError, match=words):
        open_features(tmp_path / "v.parquet", FeatureFormat())


@pytest.mark.parametrize(("suffix", "write"), WRITERS)
def test_damaged_files_are_read_or_refused(tmp_path, suffix, write):
    path = tmp_path / f"v{suffix}"
    write(path, FEATURES)
    whole, chance = path.read_bytes(), random.Random(len(suffix))
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
        for _ in range(chance.choice([0, 1, 8]) if damaged else 0):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            scan_features(path, FeatureFormat())
        except DataError as error:
            refused += len(str(error)) < 600
    assert refused > 0


def test_a_key_names_the_array_that_is_meant(tmp_path):
    np.savez(tmp_path / "v.npz", pose=FEATURES, hands=FEATURES * 2)
    file_format = FeatureFormat(key="hands")
    np.testing.assert_array_equal(read_features(tmp_path / "v.npz", file_format).numpy(), FEATURES * 2)
    with pytest.raises(DataError, match=r"has no array 'hand' \(FEATURES_KEY\); did you mean 'hands'"):
        read_features(tmp_path / "v.npz", FeatureFormat(key="hand"))
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"a": list(FEATURES), "b": np.arange(12.0), "c": ["x"] * 12})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "v.parquet")
    np.testing.assert_array_equal(read_features(tmp_path / "v.parquet", FeatureFormat(key="a")).numpy(), FEATURES)
    assert read_features(tmp_path / "v.parquet", FeatureFormat(key="b")).shape == (12, 1)


@pytest.mark.parametrize(("suffix", "library"), [(".parquet", "pyarrow"), (".h5", "h5py")])
def test_a_library_that_is_not_installed_is_named_with_the_line_that_installs_it(
    tmp_path, monkeypatch, suffix, library
):
    (tmp_path / f"v{suffix}").write_bytes(b"anything")
    for module in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)

    def refuse(name, *rest):
        raise ModuleNotFoundError(f"No module named {library!r}", name=library)

    monkeypatch.setattr("utils.errors.importlib.import_module", refuse)
    with pytest.raises(MissingExtraError, match=rf'{library}.*pip install "alignment-progress\[formats\]"'):
        open_array(tmp_path / f"v{suffix}")


def test_a_recording_is_looked_for_in_the_order_of_the_formats(tmp_path):
    assert named_file(tmp_path, "v.1") == tmp_path / "v.1.npy"
    for suffix in reversed(SUFFIXES):
        (tmp_path / f"v.1{suffix}").touch()
        assert named_file(tmp_path, "v.1") == tmp_path / f"v.1{suffix}"
    (tmp_path / "w.NPY").touch()
    with pytest.raises(DataError, match=r"no such feature file \(w\.NPY is there"):
        open_features(tmp_path / "w.npy", FeatureFormat())


def test_hidden_files_and_those_of_later_formats_are_left_out(tmp_path):
    for name in ("b.npy", "a.NPY", "._a.npy", "c.csv", "notes.md"):
        (tmp_path / name).touch()
    assert [path.name for path in of_one_format(tmp_path.iterdir(), SUFFIXES)] == ["a.NPY", "b.npy"]
    assert [path.name for path in of_one_format(tmp_path.iterdir(), (".csv",))] == ["c.csv"]
    assert of_one_format(tmp_path.iterdir(), (".h5",)) == []


def test_a_data_set_of_archives_loads_as_one_of_npy_files(tmp_path):
    folder = tmp_path / "kitchen"
    names = [f"v{number}" for number in range(6)]
    write_folder(folder, {"tea": names})
    plain = load_data(config_for(folder, STANDARDIZE=True))
    before = [features for features, _ in plain.train]
    for name in names:
        np.savez(folder / "features" / f"{name}.npz", pose=features_of(name), other=np.zeros(3))
        (folder / "features" / f"{name}.npy").unlink()
    settings = {"STANDARDIZE": True, "FEATURES_KEY": "pose"}
    data = load_data(config_for(folder, **settings))
    assert data.fingerprint() == plain.fingerprint()
    for first, (second, _) in zip(before, data.train, strict=True):
        assert torch.equal(first, second)
    (folder / "features" / "v2.npz").unlink()
    (folder / "features" / "v2.mat").touch()
    with pytest.raises(DataError, match=r"v2\.npy: task 'tea', video 'v2': no such feature file \(v2\.mat is there"):
        load_data(config_for(folder, **settings))
    assert [video.handle for video in data.val.videos] == ["v3", "v4"]
    np.savez(folder / "features" / "v3.npz", pose=features_of("v3") * 2)
    with pytest.raises(DataError, match="was rewritten after the data was checked"):
        data.val[0]


def test_the_table_of_formats_has_no_way_to_run_code():
    """Every format has its reader here; a new one is added to the tests above too."""
    assert {suffix for suffix, _ in WRITERS} == set(array_file.READERS)
