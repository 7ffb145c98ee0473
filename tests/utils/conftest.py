import pytest

from tests.labelled_recordings import coarse


@pytest.fixture
def coarse_chunks():
    with coarse():
        yield
