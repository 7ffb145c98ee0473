"""docs/mistakes.md: each mistake is made, and said what the page says."""

import re

import pytest

from tests.conftest import ROOT
from tests.mistakes import MISTAKES, make

PAGE = (ROOT / "docs" / "mistakes.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: (re.findall(r"`([^`]+)`", cells[1]), int(cells[2]))
    for line in PAGE.splitlines()
    if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("| ").split(" | ")]) == 3
    and cells[2].isdigit()
}  # fmt: skip


def test_the_page_lists_every_mistake_once():
    assert list(ROWS) == list(MISTAKES)
    assert PAGE.count("\n| ") - PAGE.count("\n| mistake ") == len(MISTAKES)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_it_says_what_the_page_says(mistake, tmp_path, monkeypatch):
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay
    code, said = make(mistake, tmp_path)
    phrases, expected = ROWS[mistake]
    assert [phrase for phrase in phrases if phrase not in said] == [], said
    assert code == expected, said
    assert phrases or expected == 0
    assert "Traceback" not in said
