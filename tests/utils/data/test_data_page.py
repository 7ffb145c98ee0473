"""docs/data.md: its example runs as written, and the messages that it explains are those of the code."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from utils.data.annotation import read_annotation

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def run(arguments, cwd):
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, timeout=120)


def test_the_worked_example_makes_a_data_set_that_passes_the_check(tmp_path):
    (script,) = blocks("python")
    (tmp_path / "make_tiny.py").write_text(script)
    commands, without_labels = blocks("bash")
    make, check, train = (shlex.split(line) for line in commands.splitlines())
    assert run([sys.executable, *make[1:]], tmp_path).returncode == 0
    assert train[:-1] == check[:-1]
    arguments = [str(ROOT / part) if part.endswith(".py") else part for part in check[1:]]
    result = run([sys.executable, *arguments], tmp_path)
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[:4] for row in rows[1:3]] == [["tea", "3", "1", "1"], ["toast", "3", "1", "1"]]
    assert "features of width 16" in result.stdout
    absolute = [str(ROOT / part) if part.endswith(".py") else part for part in shlex.split(without_labels)[1:]]
    result = run([sys.executable, *absolute], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "note: no labels: 'tea', 'toast'." in result.stdout

    (tmp_path / "data" / "tiny" / "features" / "tea_3.npy").unlink()
    result = run([sys.executable, *arguments], tmp_path)
    assert result.returncode == 2
    assert "task 'tea', video 'tea_3': no such feature file" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_examples_of_files_are_right(tmp_path):
    annotation, split = map(json.loads, blocks("json"))
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(annotation))
    assert [video.number_of_frames for video in read_annotation(path).videos] == [100, 81]
    assert list(split) == ["train", "val", "test"]


def test_every_message_in_the_table_is_one_of_the_code():
    files = (ROOT / "utils" / "data").glob("*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    # A message that a source file breaks over two lines is one again without the quotes between.
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    table = PAGE[PAGE.index("| message |") :]
    quoted = [
        text
        for line in table.splitlines()[2:]
        if line.startswith("|")
        for text in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]
    assert len(quoted) > 45
    variants = {
        "expected 2 axes": "expected {file_format.rank} axes",
        "expected 4 axes": "expected {file_format.rank} axes",
        "training videos (of": "(of {len(handles)}",
    }
    missing = [text for text in quoted if variants.get(text, text) not in source]
    assert not missing
