import errno
import hashlib
import json

import pytest

from utils.files import atomic_write, file_digest, remove_stale_temporaries, write_csv, write_json, write_text


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    write_text(path, "old")

    def fail():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_target_appears_only_at_the_end_and_the_suffix_is_kept(tmp_path):
    path = tmp_path / "picture.png"
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"x")
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        assert not path.exists()
    assert path.read_bytes() == b"x"


def test_nothing_written_is_an_error_and_no_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "file"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_disk_names_the_file(tmp_path):
    def fail():
        with atomic_write(tmp_path / "file.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"cannot write .*file\.txt: No space left on device") as raised:
        fail()
    assert raised.value.errno == errno.ENOSPC


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").mkdir()
    of_another = f".last.train_embeddings-{32 * 'a'}.pt"
    names = ("last.pt", ".lock", ".last-abc.pt", f"last-{32 * 'a'}.pt", of_another, f"other/.last-{32 * 'a'}.pt")
    kept = [tmp_path / name for name in names]
    stale = [tmp_path / f".last-{32 * 'a'}.pt", tmp_path / "folder" / f".epoch-12-{32 * '0'}"]
    for path in [*kept, *stale]:
        path.write_text("x")
    assert sorted(remove_stale_temporaries([tmp_path, tmp_path / "folder"], r"last|epoch-\d+")) == sorted(stale)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_json_keeps_its_content_and_refuses_what_is_not_json(tmp_path):
    content = {"a": [1, 2.5, None, "ü"], "b": {"c": True}}
    write_json(tmp_path / "x.json", content)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == content
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == content


def test_csv_has_every_column_in_order_of_appearance_and_quotes(tmp_path):
    write_csv(tmp_path / "x.csv", [{"a": 1, "b": "x, y"}, {"a": None, "c": 2}])
    assert (tmp_path / "x.csv").read_text() == 'a,b,c\n1,"x, y",\n,,2\n'
    with pytest.raises(ValueError, match="c"):
        write_csv(tmp_path / "x.csv", [{"c": 1}], columns=["a"])


def test_a_name_may_be_as_long_as_a_name_can_be(tmp_path):
    path = tmp_path / ("é" * 125 + ".txt")
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_digest_of_a_file(tmp_path):
    content = bytes(range(256)) * 9000  # more than a block
    (tmp_path / "a").write_bytes(content)
    assert file_digest(tmp_path / "a") == hashlib.sha256(content).hexdigest()
