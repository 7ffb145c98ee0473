"""Look-ups by which an encoder reads its group of settings."""

import pytest

from configs.typed_settings import TypedSettings
from utils.errors import ConfigError

CONFIG = {"A": {"B": {"size": 3, "sizes": [2, 4], "number": 2, "switch": False, "name": "left", "none": None}}}


def test_a_group_counts_from_its_key():
    whole = TypedSettings(CONFIG)
    for settings in (TypedSettings(CONFIG, "A.B"), whole.group("A.B"), whole.group("A").group("B")):
        assert settings.size("size") == 3
        assert settings.size("none", none_as=7) == 7
        assert settings.sizes("sizes") == (2, 4)
        assert settings.number("number") == 2.0
        assert settings.switch("switch") is False
        assert settings.choice("name", ("left", "right")) == "left"


def test_what_is_missing_has_its_default_or_is_refused_by_its_key():
    settings = TypedSettings(CONFIG, "A.B")
    found = settings.size("x", 5), settings.sizes("x", (1,)), settings.number("x", 0.5), settings.switch("x", True)
    assert found == (5, (1,), 0.5, True)
    for look_up in (settings.size, settings.sizes, settings.number, settings.switch):
        with pytest.raises(ConfigError, match=r"A\.B\.x is missing"):
            look_up("x")


@pytest.mark.parametrize(
    ("look_up", "key"),
    [
        ("size", "number.deeper"), ("size", "name"), ("size", "switch"), ("size", "none"), ("sizes", "size"),
        ("sizes", "name"), ("number", "name"), ("number", "switch"), ("number", "none"), ("switch", "size"),
    ],
)  # fmt: skip
def test_another_type_is_refused_by_its_key(look_up, key):
    with pytest.raises(ConfigError, match=rf"A\.B\.{key}"):
        getattr(TypedSettings(CONFIG, "A.B"), look_up)(key)


def test_an_unknown_choice_is_refused():
    with pytest.raises(ConfigError, match=r"A\.B\.name is 'left', expected one of up, down"):
        TypedSettings(CONFIG, "A.B").choice("name", ("up", "down"))
