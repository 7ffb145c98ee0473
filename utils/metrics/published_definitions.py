"""Metrics as defined in the programs released with TCC, LAV and CARL, for comparison with published values.

Ours measure other things (several actions, repeats, background, a mean over recordings with an interval), so values
of one column can't be compared with those of the other:

    metric      ours                                        published
    KT          all frames; 0 if all neighbours are one     every 2nd or 5th frame of both recordings; a pair of
                frame                                       recordings with one and the same neighbour is left out
    PC          linear machines on standardised features;   sklearn's SVC with its defaults, a *radial* kernel, on
                evenly spread training recordings, halves   features as they are (CARL: multinomial logistic
                rounded up; background left out; mean over  regression); the *first* recordings, rounded down; all
                recordings of their accuracy                frames; accuracy over the frames of all recordings at once
    PHP         one regression of true progress, in which   phase progression, or event completion: a regression for
                every action has an equal share; mean R^2   each phase but the last, of (t - last frame of the
                over recordings                             phase) / T; R^2 over the frames of all recordings at once,
                                                            mean over phases
    AP@K        utils/metrics/retrieval.py, which lists the differences
    EAE, KTW    those of GTCC (utils/metrics/)              -
    OPE         mean over recordings                        GTCC: mean over frames

"All recordings at once" gives a recording of twice the length twice the weight, and R^2 measured against the mean over
all recordings is not the mean of their R^2. LAV's program scores on the recordings that it fits on, LAV and TCC have
training recordings of every phase: background is a question that these data don't ask.

Sources: TCC, tcc/evaluation/{kendalls_tau,classification,event_completion}.py of google-research; LAV,
evals/{kendalls_tau,phase_classification,phase_progression}.py of LAV-CVPR21; CARL, evaluation/ of CARL_code. Strides
differ between programs for the same data: TCC has 2 for Pouring and 5 for Penn Action, CARL the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from utils.errors import import_extra
from utils.metrics.kendalls_tau import kendalls_tau
from utils.metrics.nearest_neighbours import nearest_neighbours
from utils.metrics.phase_progression import fit_linear_regression


def published_kendalls_tau(embeddings: Sequence[np.ndarray], stride: int = 5) -> float:
    """Kendall's tau over all ordered pairs of recordings, of every `stride`-th frame of both.

    Args:
        embeddings: (T_i, D) of each recording, at least two.
        stride: 2 or 5 in the publications.

    Returns:
        Mean over ordered pairs in [-1, 1]; NaN if none has a value.
    """
    strided = [frames[::stride] for frames in embeddings]
    figures = []
    for i, first in enumerate(strided):
        for second in strided[i + 1 :]:
            for neighbours in nearest_neighbours(first, second):
                if len(np.unique(neighbours)) > 1:
                    figures.append(kendalls_tau(neighbours))
    return float(np.mean(figures)) if figures else math.nan


def published_phase_classification(
    train_embeddings: Sequence[np.ndarray],
    train_labels: Sequence[np.ndarray],
    test_embeddings: Sequence[np.ndarray],
    test_labels: Sequence[np.ndarray],
    fraction: float = 1.0,
) -> float:
    """Accuracy of a support vector machine with a radial kernel, over the frames of all test recordings together.

    The time grows with the square of the number of training frames; it is suitable for some ten thousand frames.

    Args:
        train_embeddings: (T_i, D) of each training recording.
        train_labels: (T_i,) int each.
        test_embeddings, test_labels: the same of the test recordings.
        fraction: the first int(fraction n) of the n training recordings are used, at least one.

    Returns:
        Share of correct frames in [0, 1].

    Raises:
        MissingExtraError: scikit-learn isn't installed.
    """
    library = import_extra("sklearn.svm", "evaluation", "phase classification as published")
    used = max(1, int(fraction * len(train_embeddings)))
    machine = library.SVC(decision_function_shape="ovo")
    machine.fit(np.concatenate(train_embeddings[:used]), np.concatenate(train_labels[:used]))
    return float(machine.score(np.concatenate(test_embeddings), np.concatenate(test_labels)))


def published_phase_progression(
    train_embeddings: Sequence[np.ndarray],
    train_labels: Sequence[np.ndarray],
    test_embeddings: Sequence[np.ndarray],
    test_labels: Sequence[np.ndarray],
) -> float:
    """R^2 of the signed distance in time from the end of each phase, mean over phases.

        target of frame t for phase c = (t - last frame of c) / T,   c = 0 .. C - 2

    Args:
        train_embeddings: (T_i, D) of each training recording.
        train_labels: (T_i,) int each, 0 to C - 1.
        test_embeddings, test_labels: the same of the test recordings.

    Returns:
        At most 1; negative if the mean would be better.

    Raises:
        ValueError: there is only one phase, or a recording lacks a phase other than the last: the metric needs
            recordings with the same phases in the same order.
    """
    phases = 1 + max(int(labels.max()) for labels in [*train_labels, *test_labels])
    if phases < 2:
        raise ValueError("phase progression needs at least two phases")
    train, test = ([_time_from_ends(labels, phases) for labels in part] for part in (train_labels, test_labels))
    scores = []
    for phase in range(phases - 1):
        weights, intercept = fit_linear_regression(train_embeddings, [targets[phase] for targets in train])
        truth = np.concatenate([targets[phase] for targets in test])
        prediction = np.concatenate([frames @ weights + intercept for frames in test_embeddings])
        scores.append(1 - np.square(truth - prediction).sum() / np.square(truth - truth.mean()).sum())
    return float(np.mean(scores))


def _time_from_ends(labels: np.ndarray, phases: int) -> np.ndarray:
    """(phases - 1, T) signed distance in time from the last frame of each phase but the last, as a share of T."""
    missing = sorted(set(range(phases - 1)) - set(labels.tolist()))
    if missing:
        raise ValueError(f"phase progression needs every phase in every recording; one lacks {missing}")
    last = [np.flatnonzero(labels == phase)[-1] for phase in range(phases - 1)]
    return (np.arange(len(labels)) - np.array(last)[:, None]) / len(labels)
