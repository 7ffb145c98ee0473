"""The table of faults fits the project; `python -m tests.mutations` puts them in and runs their tests."""

from tests.mutations import MUTATIONS, problems


def test_every_line_is_found_once_and_every_test_is_there():
    assert problems() == []


def test_every_fault_is_another_one():
    assert len({(mutation.file, mutation.old, mutation.new) for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len({mutation.what for mutation in MUTATIONS}) == len(MUTATIONS)
