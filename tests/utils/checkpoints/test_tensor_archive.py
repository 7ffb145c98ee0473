"""Reading what torch.save wrote: the same content as torch.load gives, and no changed number ever."""

import io
import zipfile
from collections import OrderedDict

import pytest
import torch

from utils.checkpoints.tensor_archive import TensorArchive
from utils.errors import CheckpointError


def load(path):
    with TensorArchive(path) as archive:
        return archive.content()


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
    """The archive with each record changed by `edit(name, content)` and its checksums made anew."""
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
        with pytest.raises(CheckpointError, match="a tensor in it reaches beyond the numbers stored for it"):
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


def test_no_flipped_bit_anywhere_changes_a_number(tmp_path):
    """Of the numbers it is noticed; in the archive's directory it may do no harm, or be an error."""
    path = tmp_path / "content.pt"
    weight = torch.randn(8)
    torch.save({"weight": weight}, path)
    whole = path.read_bytes()
    start = whole.index(weight.numpy().tobytes())
    harmless = 0
    for bit in [*range(8 * start, 8 * (start + 32)), *range(8 * (len(whole) - 600), 8 * len(whole))]:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            found = load(path)
        except CheckpointError:
            continue
        assert torch.equal(found["weight"], weight)
        assert not start <= bit // 8 < start + 32
        harmless += 1
    assert harmless > 100


def test_what_would_take_for_ever_or_all_memory_does_not(tmp_path):
    path = tmp_path / "content.pt"
    doubled = [1]
    for _ in range(100):
        doubled = (doubled, doubled)
    itself = []
    itself.append(itself)
    huge = torch.zeros(1).expand(1 << 50)
    torch.save({"doubled": doubled, "itself": itself, "huge": huge}, path)
    found = load(path)
    assert found["itself"][0] is found["itself"]
    assert found["huge"].shape == (1 << 50,)
    deep = 1
    for _ in range(900):
        deep = (deep,)
    torch.save({"deep": deep}, path)
    with pytest.raises(CheckpointError, match="nested too deeply"):
        load(path)


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
