"""How a command ends: errors of the file system in one form."""

import errno
import logging
import os
import re

import pytest

from utils.command import format_table, run_command
from utils.errors import BAD_INPUT, FAILED, DataError


@pytest.fixture
def ended(monkeypatch, caplog):
    """Exit code and message of a command that does something."""
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay

    def run(action, option="--output"):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            code = run_command(lambda arguments: action(), ["command"], option)
        return code, caplog.messages[-1]

    return run


def test_a_path_its_reason_in_words_and_the_option_that_helps(ended, tmp_path):
    file = tmp_path / "file"
    file.touch()
    link = tmp_path / "link"
    link.symlink_to(link)
    cases = {
        lambda: (file / "inside").mkdir(): f"{file}/inside: a part of the path is a file, not a folder; --output",
        lambda: file.mkdir(): f"{file}: there is a file of that name; --output names another folder",
        lambda: open("/proc/none/file", "w"): "/proc/none/file: no such file or folder; --output",  # noqa: SIM115
        lambda: open(tmp_path): f"{tmp_path}: is a folder; expected a file",  # noqa: SIM115
        lambda: link.read_text(): f"{link}: a link that leads to itself",
        lambda: (tmp_path / ("x" * 300)).touch(): "the name is too long",
    }
    for action, words in cases.items():
        code, message = ended(action)
        assert code == BAD_INPUT
        assert message.startswith("error: ")
        assert words in message
        assert not re.search(r"\[Errno \d+\]", message)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "no permission; OUTPUT_FOLDER names"), (errno.EROFS, "can only be read; OUTPUT_FOLDER names")],
)
def test_no_permission_says_which_setting_helps(ended, number, words):
    def refuse():
        raise OSError(number, os.strerror(number), "output/demo")

    code, message = ended(refuse, "OUTPUT_FOLDER")
    assert (code, message.startswith("error: output/demo: ")) == (BAD_INPUT, True)
    assert words in message
    assert "; " not in ended(refuse, "")[1]


def test_a_message_of_our_own_keeps_its_path_and_its_option(ended):
    def refuse():
        raise OSError(errno.EACCES, "cannot write to runs (Permission denied); --output names another folder")

    assert ended(refuse) == (BAD_INPUT, "error: cannot write to runs (no permission); --output names another folder")


def test_a_full_disk_is_no_bad_input(ended):
    def full():
        raise OSError(errno.ENOSPC, f"cannot write a.csv: {os.strerror(errno.ENOSPC)}")

    assert ended(full) == (
        FAILED, "error: cannot write a.csv: No space left on device; make room, then run it again, a training with "
        "--resume",
    )  # fmt: skip


def test_an_error_of_the_project_keeps_its_message(ended):
    def refuse():
        raise DataError("a.json: is empty")

    assert ended(refuse) == (BAD_INPUT, "error: a.json: is empty")


def test_columns_line_up():
    lines = format_table(["name", "x"], [["long name", "1.0"], ["b", "10.0"]]).splitlines()
    assert lines == ["name          x", "---------------", "long name   1.0", "b          10.0"]


def test_without_a_line_below_the_header_and_without_rows():
    assert format_table(["name", "x"], [], rule="") == "name  x"
