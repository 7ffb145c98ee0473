"""docs/importing.md: every command on it prints what it says, and every format has one."""

import os
import re

from tests.utils.annotation.documented import PAGE, ROOT, answer_of, commands_of, console_blocks
from utils.annotation.exporters import EXPORTERS
from utils.annotation.importer import _parser
from utils.annotation.readers import READERS

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_commands_print_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.symlink(ROOT / "tests", "tests")
    capsys.readouterr()
    for block in console_blocks(TEXT):
        for command, answer in commands_of(block):
            assert answer_of(command, lambda: capsys.readouterr().out).strip() == answer.strip(), command


def test_every_format_has_a_command():
    assert set(READERS) | set(EXPORTERS) == set(re.findall(r"--format (\w+)", TEXT))


def test_every_option_on_the_page_is_one():
    options = {option for action in _parser()._actions for option in action.option_strings}
    named = set(re.findall(r"(--[a-z][a-z-]+)", TEXT))
    assert named - options <= {"--check", "--progress", "--video-rate"}
