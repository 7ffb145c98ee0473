"""Metrics of an embedding and of predicted progress, one per file."""

from utils.metrics.enclosed_area_error import enclosed_area_error
from utils.metrics.kendalls_tau import kendalls_tau
from utils.metrics.kendalls_tau_in_the_wild import kendalls_tau_in_the_wild
from utils.metrics.nearest_neighbours import nearest_neighbours
from utils.metrics.phase_classification import majority_class, phase_classification
from utils.metrics.phase_progression import phase_progression
from utils.metrics.progress_error import progress_error
from utils.metrics.valid_alignment import ValidAlignment, valid_alignment

__all__ = [
    "ValidAlignment",
    "enclosed_area_error",
    "kendalls_tau",
    "kendalls_tau_in_the_wild",
    "majority_class",
    "nearest_neighbours",
    "phase_classification",
    "phase_progression",
    "progress_error",
    "valid_alignment",
]
