import pytest

from tests.labelled_recordings import coarse, recordings_of
from utils.prediction.progress.cross_validation import OutOfFold, cross_validate
from utils.prediction.progress.model import fit_progress


@pytest.fixture(autouse=True)
def _coarse(coarse_chunks):
    """Everything here is fitted to small recordings."""


@pytest.fixture(scope="session")
def recordings():
    """Eight recordings of 60 to 150 frames."""
    return recordings_of(8)


@pytest.fixture(scope="session")
def new_recordings():
    """Four more of their kind."""
    return recordings_of(4, first=50)


@pytest.fixture(scope="session")
def found(recordings):
    """Cross-validation of every read-out."""
    with coarse():
        return cross_validate(recordings, folds=4)


@pytest.fixture(scope="session")
def model_of(recordings, found):
    """A progress model whose read-out is the one of this name; each is fitted once."""
    made = {}

    def fit(name):
        if name not in made:
            chosen = type("Chosen", (OutOfFold,), {"best": lambda self: name})(**vars(found))
            with coarse():
                made[name] = fit_progress(recordings, frame_rate=10.0, found=chosen)
        return made[name]

    return fit
