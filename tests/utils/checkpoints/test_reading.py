"""Reading what torch.save wrote: the same content as torch.load gives, and no changed number ever."""

import io
import random
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.utils.data.mutation import EXAMPLES, note
from utils.checkpoints.reading import LARGEST_ORIGINAL_PICKLE, read_archive
from utils.errors import CheckpointError


def load(path):
    return read_archive(path).content


def same(one, other):
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
)  # fmt: skip


def test_gives_what_torch_gives(tmp_path):
    base = torch.arange(24.0)
    content = {
        "numbers": [1, -1, 255, 256, 65536, -(2**31), 2**40, -(2**70), 0.5, float("inf"), float("nan"), True, False],
        "text": ["", "été", "第二", "a\nb"], "nothing": None, 3: (1, (2, ()), [], {}), "tuples": (1, 2, 3, 4, 5),
        "weights": OrderedDict((str(dtype), torch.tensor([[0, 1], [1, 0]]).to(dtype)) for dtype in DTYPES),
        "views": [base.view(4, 6), base[3:9:2], base.view(4, 6).t(), base.expand(2, 24), base[:0], base[5]],
        "scalar": torch.tensor(3.5), "empty": torch.zeros(0, 3), "parameter": torch.nn.Linear(2, 2).state_dict(),
        "optimiser": torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
    }  # fmt: skip
    content["twice"] = content["text"]
    path = tmp_path / "content.pt"
    torch.save(content, path)
    found = load(path)
    expected = torch.load(path, weights_only=True)
    assert same(found, {**expected, "weights": dict(expected["weights"]), "parameter": dict(expected["parameter"])})
    found["views"][0][0, 0] = 7.0
    assert found["views"][3][0, 0] == 7.0, "tensors that shared their numbers share them"
    assert found["twice"] is found["text"]


def rewritten(path, edit):
    """The archive with each record changed by `edit(name, content)`, and with new checksums."""
    other = path.with_name("edited.pt")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            target.writestr(name, edit(name, source.read(name)))
    return other


def test_a_record_of_another_length_than_its_tensor_is_refused(tmp_path):
    path = tmp_path / "content.pt"
    torch.save({"weight": torch.ones(100)}, path)
    for change in (lambda content: content[:4], lambda content: content + b"\0" * 4, lambda content: b"\0" * 401):
        edited = rewritten(path, lambda name, content, change=change: change(content) if "/data/" in name else content)
        with pytest.raises(CheckpointError, match="a tensor in it does not fit the numbers stored for it"):
            load(edited)


def test_what_a_gpu_wrote_comes_onto_the_cpu(tmp_path):
    """As its pickle says where the numbers were; there need be no GPU here."""
    path = tmp_path / "content.pt"
    torch.save({"weight": torch.arange(3.0)}, path)
    here, there = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    assert here in path.read_bytes()
    found = load(rewritten(path, lambda name, content: content.replace(here, there)))["weight"]
    assert found.device.type == "cpu"
    assert torch.equal(found, torch.arange(3.0))


def test_no_flipped_bit_anywhere_changes_what_is_read(tmp_path):
    """Every bit of the archive's directory and of a tensor, and some of all the others."""
    path = tmp_path / "content.pt"
    content = {"epoch": 3, "loss": 0.5, "model_state_dict": OrderedDict(a=torch.randn(8), b=torch.randn(3, 40))}
    torch.save(content, path)
    content["model_state_dict"] = dict(content["model_state_dict"])
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
    start = whole.index(content["model_state_dict"]["a"].numpy().tobytes())
    numbers = range(8 * start, 8 * (start + 32))
    every = [*range(8 * directory, 8 * len(whole)), *numbers]
    others = random.Random(EXAMPLES).sample(range(8 * directory), max(500, EXAMPLES))
    harmless = 0
    for bit in [*every, *others]:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            found = load(path)
        except CheckpointError:
            note("refused")
            continue
        note("loaded")
        assert same(found, content), f"bit {bit % 8} of byte {bit // 8}"
        assert bit not in numbers
        harmless += 1
    assert 100 < harmless < len(every) - 100


def test_what_would_take_for_ever_or_all_memory_does_not(tmp_path):
    path = tmp_path / "content.pt"
    doubled = [1]
    for _ in range(60):
        doubled = [doubled, doubled]
    huge = torch.zeros(1).expand(1 << 50)
    torch.save({"doubled": doubled, "huge": huge}, path)
    found = load(path)
    assert found["doubled"][0] is found["doubled"][1]
    assert found["huge"].shape == (1 << 50,)
    assert found["huge"].untyped_storage().nbytes() == 4


def itself():
    content = []
    content.append({"inside": content})
    return content


def nested(kind, levels, times=1):
    content = 1
    for _ in range(levels):
        content = kind([content] * times)
    return content


@pytest.mark.parametrize(
    "content", [itself(), nested(tuple, 300), nested(list, 300), nested(tuple, 30, times=2)],
    ids=["in itself", "deep tuple", "deep list", "a tuple of 2 ** 30"],
)  # fmt: skip
def test_what_is_nested_without_end_is_refused(tmp_path, content):
    path = tmp_path / "content.pt"
    torch.save({"entry": content}, path)
    with pytest.raises(CheckpointError, match="nested too deeply"):
        load(path)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({1, 2}, "__builtin__.set"), (torch.Size([1]), "torch.Size"), (torch.float32, "torch.float32"),
        (1j, "__builtin__.complex"), (b"x", "_codecs.encode"), (Path("a"), "pathlib"), (Counter(a=1), "Counter"),
        (torch.nn.Parameter(torch.ones(1)), "_rebuild_parameter"), (np.ones(2), "numpy"), (np.float64(1), "numpy"),
        (torch.eye(2).to_sparse(), "_rebuild_sparse_tensor"), (torch.ones(2, device="meta"), "_rebuild_meta_tensor"),
        (torch.ones(2, dtype=torch.complex64), "ComplexFloatStorage"),
        (torch.ones(2, dtype=torch.float8_e4m3fn), "_rebuild_tensor_v3"),
    ],
)  # fmt: skip
def test_what_is_no_plain_value_and_no_ordinary_tensor_is_refused_by_name(tmp_path, value, named):
    """Whether torch would read it or not: a float weight is expected, or a number, and nothing is to be called."""
    path = tmp_path / "content.pt"
    torch.save({"entry": value}, path)
    with pytest.raises(CheckpointError, match=rf"content\.pt is not a readable.*asks for .*{named}.*nothing was run"):
        load(path)


def test_attributes_of_a_dict_do_not_stand_in_for_its_methods(tmp_path):
    """A pickle may set any; a state dict has its versions there."""
    path = tmp_path / "content.pt"
    torch.save({}, path)
    code = b"\x80\x02ccollections\nOrderedDict\n)RX\x01\x00\x00\x00aK\x01s}X\x05\x00\x00\x00itemsK\x02sb."
    found = load(rewritten(path, lambda name, content: code if name.endswith("data.pkl") else content))
    assert found == {"a": 1}
    assert type(found) is dict


def test_a_negated_view_is_refused(tmp_path):
    path = tmp_path / "content.pt"
    torch.save({"entry": torch._neg_view(torch.ones(2))}, path)
    with pytest.raises(CheckpointError, match=r"entry is .*of type torch\.Tensor"):
        load(path)


def test_entries_too_large_compressed_or_there_twice(tmp_path):
    path = tmp_path / "content.pt"
    torch.save({"weight": torch.zeros(100_000)}, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "c.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(CheckpointError, match="compressed, too large or there twice"):
        load(tmp_path / "c.pt")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(next(name for name in archive.namelist() if name.endswith("/data/0")), b"other")
    with pytest.raises(CheckpointError, match="compressed, too large or there twice"):
        load(path)
    torch.save({"weight": torch.zeros(3)}, path)
    # One entry's bytes counted many times, as in an archive whose entries lie on top of each other.
    whole = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = whole.index(b"PK\x01\x02", archive.start_dir) + 20
    whole[place : place + 8] = (1 << 30).to_bytes(4, "little") * 2
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="compressed, too large or there twice"):
        load(path)


def test_a_pickle_of_the_original_code_beyond_its_bound(tmp_path):
    path = tmp_path / "content.pt"
    torch.save({"log": "x" * LARGEST_ORIGINAL_PICKLE}, path)
    assert len(load(path)["log"]) == LARGEST_ORIGINAL_PICKLE
    edited = rewritten(path, lambda name, content: content.replace(b"x" * 20, b"ceasydict\nEasyDict\n", 1))
    with pytest.raises(CheckpointError, match="the pickle in it has"):
        load(edited)


def test_another_byte_order(tmp_path):
    path = tmp_path / "content.pt"
    torch.save({"weight": torch.ones(2)}, path)
    edited = rewritten(path, lambda name, content: b"big" if name.endswith("byteorder") else content)
    with pytest.raises(CheckpointError, match="byte order"):
        load(edited)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02}q\x00.", b"not an archive" * 100])
def test_what_is_no_archive(tmp_path, content):
    path = tmp_path / "content.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"content\.pt is truncated or no checkpoint"):
        load(path)


def test_an_archive_of_something_else(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/b.txt", "text")
    path = tmp_path / "content.pt"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match=r"0 data\.pkl in it"):
        load(path)
