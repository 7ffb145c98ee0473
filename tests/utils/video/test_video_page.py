"""docs/video.md: the encoders and settings it lists are those of the code, and its commands exist."""

import re
from importlib import import_module

from configs.generic_config import get_generic_config
from tests.conftest import ROOT
from utils.registry import IMAGE_ENCODERS, code_of
from utils.video.decoding import RESIZES
from utils.video.encoders.protocol import NORMALIZATIONS

PAGE = (ROOT / "docs" / "video.md").read_text(encoding="utf-8")


def rows_of(title):
    """The first cells of the table with this head."""
    table = PAGE[PAGE.index(f"| {title} |") :].split("\n\n")[0]
    return [line.split("|")[1:-1] for line in table.splitlines()[2:]]


def test_every_encoder_and_option_is_listed():
    listed = [re.search(r"`(\w+)(:\w+)?`", cells[0]).groups(default="") for cells in rows_of("encoder")]
    assert {name: argument.removeprefix(":") for name, argument in listed} == {
        name: entry.argument for name, entry in IMAGE_ENCODERS.items()
    }
    options = {re.search(r"`(\w+)`", cells[0])[1] for cells in rows_of("option")}
    assert options == {option for entry in IMAGE_ENCODERS.values() for option in code_of(entry).options}
    for choice in (*RESIZES, *NORMALIZATIONS):
        assert f"`{choice}`" in PAGE


def test_every_setting_is_one():
    settings = {name for cells in rows_of("setting") for name in re.findall(r"`(\w+)`", cells[0])}
    assert settings <= set(get_generic_config().keys())


def test_every_command_is_there():
    for module in set(re.findall(r"python -m ([\w.]+)", PAGE)):
        assert hasattr(import_module(module), "main")
    for script in re.findall(r"python (\w+\.py)", PAGE):
        assert (ROOT / script).is_file()
