"""The command of docs/alignment.md that trains as in the paper."""

import re
import shlex

from configs.entry_config import read_command_line
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "alignment.md").read_text()


def test_the_command_of_the_paper_sets_what_the_page_says_differs():
    (command,) = re.findall(r"^python (multitask_train\.py --config .*GTCC_PARAMS.*)$", PAGE, re.MULTILINE)
    config = read_command_line(shlex.split(command)).config
    in_the_paper = {
        "softmax_temp": 0.1, "anchors_per_video": 20, "delta": 0.2, "gamma": 0.95, "n_components": 15,
        "soft_neighbours": "components", "normalization": "none", "reciprocal": "frame", "alignment_variance": 0.0,
    }  # fmt: skip
    assert in_the_paper.items() <= config.GTCC_PARAMS.to_dict().items()
    assert [name for name, on in config.LOSS_TYPE.items() if on] == ["GTCC"]
    assert not config.ARCHITECTURE.skip
    assert config.ARCHITECTURE.MCN
    assert config.ARCHITECTURE.dropping


def test_the_command_of_tcc_sets_what_the_page_says_differs():
    (command,) = re.findall(r"^python (multitask_train\.py --config .*TCC_ORIGINAL_PARAMS.*)$", PAGE, re.MULTILINE)
    config = read_command_line(shlex.split(command)).config
    assert {"softmax_temp": 0.1, "normalization": "none"}.items() <= config.TCC_ORIGINAL_PARAMS.to_dict().items()
    assert [name for name, on in config.LOSS_TYPE.items() if on] == ["tcc"]
    assert not config.ARCHITECTURE.skip


def test_the_commands_of_lav_and_vava_set_what_the_page_says_differs():
    commands = re.findall(r"^python (multitask_train\.py --config .*(?:LAV|VAVA)_PARAMS.*)$", PAGE, re.MULTILINE)
    lav, vava = (read_command_line(shlex.split(command)).config for command in commands)
    assert {"trust": 0.0, "normalization": "none", "window": 0.1}.items() <= lav.LAV_PARAMS.to_dict().items()
    assert {"zeta": 0.25, "normalization": "none", "window": 0.1}.items() <= vava.VAVA_PARAMS.to_dict().items()
    for config, loss in ((lav, "LAV"), (vava, "VAVA")):
        assert [name for name, on in config.LOSS_TYPE.items() if on] == [loss]
