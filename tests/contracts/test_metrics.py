"""Every metric keeps the contracts, and each contract refuses one that breaks it."""

import numpy as np
import pytest

from tests.contracts.metrics import (
    check_embedding_metric,
    check_metric,
    check_metric_of_all_videos,
    check_pair_metric,
    check_progress_metric,
    check_retrieval_metric,
)
from utils.metrics import enclosed_area_error, kendalls_tau, phase_progression, progress_error
from utils.metrics.table import METRICS

# Of the metrics that have one, the bound on the other side.
WORST = {"KT": -1, "KTW": -1, "OPE_video_online": 1, "OPE_action_online": 1, "PC_10": 0, "PC_50": 0, "PC_100": 0}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_keeps_the_contracts(name):
    check_metric(METRICS[name], WORST.get(name))


def order(neighbours, _):
    return kendalls_tau(neighbours)


def changes_the_neighbours(neighbours, _):
    value = kendalls_tau(neighbours)
    neighbours.sort()
    return value


def changes_the_alignment(neighbours, alignment):
    value = enclosed_area_error(neighbours, alignment)
    alignment.position[0] += 1
    return value


def draws(neighbours, _):
    return kendalls_tau(neighbours) * (1 - 1e-4 * np.random.default_rng().random(len(neighbours)))


BROKEN_PAIRS = {
    "changes the neighbours": (changes_the_neighbours, "higher"),
    "changes the alignment": (changes_the_alignment, "lower"),
    "gives two figures": (draws, "higher"),
    r"of shape \(\); expected \(23,\)": (lambda neighbours, _: kendalls_tau(neighbours).mean(), "higher"),
    "expected 0.0 where lower": (order, "lower"),
    "beyond 1.0": (lambda neighbours, _: 2 - kendalls_tau(neighbours), "higher"),
    "hardly worse": (lambda neighbours, _: np.ones(len(neighbours)), "higher"),
    "beside other rows": (lambda neighbours, _: kendalls_tau(neighbours) * (1 - 1e-5 * len(neighbours)), "higher"),
    "isn't finite": (lambda neighbours, _: np.where(kendalls_tau(neighbours) < 0, np.nan, 1.0), "higher"),
    "for a video of one frame": (
        lambda neighbours, _: np.nan_to_num(kendalls_tau(neighbours), nan=np.inf), "higher",
    ),
}  # fmt: skip


@pytest.mark.parametrize("refusal", BROKEN_PAIRS)
def test_a_metric_of_pairs_that_breaks_a_contract_is_refused(refusal):
    with pytest.raises(AssertionError, match=refusal):
        check_pair_metric(*BROKEN_PAIRS[refusal])


def test_a_bound_on_the_worst_is_checked():
    with pytest.raises(AssertionError, match="beyond 0, the worst"):
        check_pair_metric(order, "higher", worst=0)


def shifts(prediction, truth, counted):
    prediction += 0.0 if prediction is truth else 0.1
    return progress_error(prediction, truth, counted)


def counts_all(prediction, truth, _):
    return progress_error(prediction, truth)


def clears(prediction, truth, counted):
    value = progress_error(prediction, truth, counted)
    if counted is not None:
        counted[:] = True
    return value


BROKEN_PROGRESS = {
    "changes the progress": (shifts, "lower"),
    "changes which frames": (clears, "lower"),
    "don't count": (counts_all, "lower"),
    "than for None": (
        lambda p, t, counted: progress_error(p, t, counted) * (1 if counted is None else 0.5), "lower",
    ),
    "expected 1.0": (progress_error, "higher"),
    "the worst": (lambda p, t, counted: 2 * progress_error(p, t, counted), "lower", 1.0),
    "where no frame counts": (
        lambda p, t, counted: np.nan_to_num(progress_error(p, t, counted), nan=np.inf), "lower",
    ),
}  # fmt: skip


@pytest.mark.parametrize("refusal", BROKEN_PROGRESS)
def test_a_metric_of_progress_that_breaks_a_contract_is_refused(refusal):
    with pytest.raises(AssertionError, match=refusal):
        check_progress_metric(*BROKEN_PROGRESS[refusal])


def centres_in_place(train, train_targets, test, test_targets):
    for frames in test:
        frames -= frames.mean(axis=0)
    return phase_progression(train, train_targets, test, test_targets)


BROKEN_EMBEDDING = {
    "changes the videos": centres_in_place,
    r"of shape \(\)": lambda *videos: phase_progression(*videos).mean(),
    "beside other test videos": lambda *videos: phase_progression(*videos) - 1e-4 * len(videos[2]),
    "expected 1.0": lambda *videos: 1 - phase_progression(*videos),
    "hardly worse": lambda *videos: np.ones(len(videos[2])),
}


@pytest.mark.parametrize("refusal", BROKEN_EMBEDDING)
def test_a_metric_of_embeddings_that_breaks_a_contract_is_refused(refusal):
    with pytest.raises(AssertionError, match=refusal):
        check_embedding_metric(BROKEN_EMBEDDING[refusal], "higher", of_labels=False)


def marks_the_nearest(matches):
    matches[:, 0] = True
    return matches.mean()


BROKEN_RETRIEVAL = {
    "changes the matches": (marks_the_nearest, "higher"),
    "gives two figures": (lambda matches: matches.mean() * (1 - 1e-4 * np.random.default_rng().random()), "higher"),
    "expected 0.0": (lambda matches: matches.mean() if len(matches) else np.nan, "lower"),
    "hardly worse": (lambda matches: 1.0, "higher"),
    "type of certain matches": (lambda matches: matches.mean() * (1 if matches.dtype == bool else 0.5), "higher"),
    "without any action": (lambda matches: matches.mean() if len(matches) else np.inf, "higher"),
    "the worst": (lambda matches: 2 * matches.mean() - 1 if len(matches) else np.nan, "higher", 0),
}


@pytest.mark.parametrize("refusal", BROKEN_RETRIEVAL)
def test_a_metric_of_retrieval_that_breaks_a_contract_is_refused(refusal):
    with pytest.raises(AssertionError, match=refusal):
        check_retrieval_metric(*BROKEN_RETRIEVAL[refusal])


BROKEN_OF_ALL_VIDEOS = {
    "changes the videos": lambda *videos: centres_in_place(*videos).mean(),
    "gives two figures": lambda *videos: float(np.random.default_rng().random()),
    "hardly worse": lambda *videos: 1.0,
    "beyond 1.0": lambda train, train_labels, test, labels: 2.0 if test[0].max() == 10 else 0.0,
}


@pytest.mark.parametrize("refusal", BROKEN_OF_ALL_VIDEOS)
def test_a_metric_of_all_videos_that_breaks_a_contract_is_refused(refusal):
    with pytest.raises(AssertionError, match=refusal):
        check_metric_of_all_videos(BROKEN_OF_ALL_VIDEOS[refusal], "higher")
