"""Faults put into the project one at a time, and the test that must notice each.

    python -m tests.mutations                  # all of them; some minutes
    python -m tests.mutations --only clip      # those whose description says so

A fault is one line changed. Each is put into a copy of the project in a temporary folder, where its test runs alone.
The command ends with exit code 1 where a fault survives, where a line is no longer found exactly once, or where one of
the tests fails without any fault.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Imported once, which takes longer than most of the tests.
LIBRARIES = ("torch", "numba", "sklearn", "scipy.stats", "matplotlib.pyplot", "ml_collections", "hypothesis")

# What pytest answers where tests ran and one failed; anything else says that none ran to its end.
PASSED, FAILED = 0, 1


@dataclass(frozen=True)
class Mutation:
    """A fault: what it does, the file, its text, what stands there instead, and the test that must fail."""

    what: str
    file: str
    old: str
    new: str
    test: str


def a_setting(key: str) -> str:
    """The test that this setting changes what it should."""
    return f"tests/test_settings.py::test_another_value_changes_what_it_should[{key}]"


LOWERS = "tests/test_training.py::test_training_lowers_its_loss_on_training_and_validation_videos[tcc]"
SPLITS = "tests/test_training.py::TestSplits"
STEPS = "tests/test_training.py::TestSteps"
CHOSEN = f"{SPLITS}::test_best_checkpoints_are_chosen_by_the_loss_on_validation_videos[combined-total_loss]"
OWN_TIMES = "tests/utils/test_loss_entry.py::TestComputeProgressLoss::test_every_video_is_held_to_its_own_times[video]"
ENTRY = "tests/utils/test_loss_entry.py"
DIVIDED = (
    "tests/test_training.py::TestPathsOverTheMeanOfTrainingVideos::"
    "test_steps_take_those_at_the_start_of_their_epoch_and_validation_those_after_it"
)
STOPPED = "tests/test_resume.py::test_a_stop_in_the_middle_of_an_epoch_is_resumed_there[4]"

LOOP = "models/alignment_training_loop.py"
LOSS = "utils/loss_entry.py"
TERMS = "utils/loss_functions/alignment_terms.py"
DATASET = "utils/data/dataset.py"
SETTINGS = "utils/data/data_settings.py"
RUN_CHECKPOINTS = "utils/training/checkpoints.py"

MUTATIONS = (
    # ---- The training loop
    Mutation("LEARNING_RATE ignored", LOOP, "lr=config.LEARNING_RATE", "lr=1e-4", a_setting("LEARNING_RATE")),
    Mutation("WEIGHT_DECAY ignored", LOOP, "weight_decay=config.WEIGHT_DECAY", "weight_decay=0.0",
             a_setting("WEIGHT_DECAY")),
    Mutation("gradient ascent", LOOP, '(loss_dict["total_loss"] * weight).backward()',
             '(-loss_dict["total_loss"] * weight).backward()', LOWERS),
    Mutation("no step of the optimiser", LOOP, "self.optimizer.step()", "pass", LOWERS),
    Mutation("gradients add up over steps", LOOP, "self.optimizer.zero_grad(set_to_none=True)", "pass",
             f"{STEPS}::test_the_gradient_of_a_step_is_that_of_its_own_batch"),
    Mutation("no clipping of gradients", LOOP, "self.config.MAX_GRAD_NORM)", "1e9)",
             f"{STEPS}::test_gradients_are_clipped_to_the_norm_that_is_set_and_reported_as_they_were"),
    Mutation("the same order of batches at every epoch", LOOP, "self.sampler.set_epoch(state.epoch)", "pass",
             f"{STEPS}::test_every_epoch_has_an_order_of_its_own_and_all_videos"),
    Mutation("the same frames of long videos at every epoch", LOOP, "in_epoch(state.epoch)", "in_epoch(0)",
             f"{STEPS}::test_every_epoch_and_seed_draws_frames_of_its_own"),
    Mutation("the loss is told epoch 0", LOOP, "output_dict, self.state.epoch, times",
             "output_dict, 0, times", f"{STEPS}::test_the_loss_is_told_the_epoch"),
    Mutation("the loss gets no times", LOOP, "times_list=list(times)", "times_list=None",
             a_setting("PROGRESS_LOSS.enabled")),
    Mutation("PRECISION ignored", LOOP, "self.device, self.config.PRECISION)", "self.device)", a_setting("PRECISION")),
    Mutation("best checkpoints chosen on training videos", LOOP, "self.validation_videos = data.val",
             "self.validation_videos = data.train", CHOSEN),
    Mutation("best checkpoints chosen by the training loss", LOOP, "(self.validation_loss_fn, self.loss_fn)",
             "(self.loss_fn, self.loss_fn)", CHOSEN),
    Mutation("the worst checkpoint is the best", LOOP, "validation[criterion] < state.best[kind]",
             "not validation[criterion] < state.best[kind] < float('inf')", CHOSEN),
    Mutation("MAX_BAD_STEPS ignored", LOOP, "state.bad_steps_in_a_row >= self.config.MAX_BAD_STEPS",
             "state.bad_steps_in_a_row >= 2", a_setting("MAX_BAD_STEPS")),
    Mutation("bad steps need not come in a row", LOOP, "state.bad_steps_in_a_row = 0", "pass",
             "tests/test_bad_steps.py::test_bad_steps_are_skipped_and_the_last_one_is_dumped"),
    Mutation("CKPT_EVERY ignored", LOOP, "finished % self.config.CKPT_EVERY == 0", "finished % 10 == 0",
             a_setting("CKPT_EVERY")),
    Mutation("NUM_EPOCHS ignored", LOOP, "while self.state.epoch < self.num_epochs", "while self.state.epoch < 3",
             a_setting("NUM_EPOCHS")),
    Mutation("no stop during validation", LOOP, "self._leave_if_asked(stop) if stop is not None else None", "None",
             "tests/test_interruption.py::"
             "test_a_stop_during_validation_comes_after_its_batch_and_resumes_bit_identical[1-15]"),
    Mutation("validation without the progress term", "models/validation_epoch.py",
             "averages.add(loss_fn(output_dict, epoch, times_list=times))", "averages.add(loss_fn(output_dict, epoch))",
             CHOSEN),
    Mutation("the same random numbers at every step", "models/batch_loading.py", "* 1_000_003 + batch)",
             "* 1_000_003)", "tests/models/test_batch_loading.py::test_every_step_has_random_numbers_of_its_own"),
    # ---- The loss of a configuration
    Mutation("the parameters of the losses ignored", TERMS, "AlignmentTerm(name, function, parameters,",
             "AlignmentTerm(name, function, {},", a_setting("LAV_PARAMS.margin")),
    Mutation("GTCC is told epoch 0", TERMS, '"epoch": epoch,', '"epoch": 0,',
             f"{ENTRY}::TestGetLossFunction::test_the_schedule_of_a_loss_follows_the_epoch[GTCC]"),
    Mutation("VAVA is told epoch 0", TERMS, '"global_step": epoch', '"global_step": 0',
             f"{ENTRY}::TestGetLossFunction::test_the_schedule_of_a_loss_follows_the_epoch[VAVA]"),
    Mutation("LAV trusts the whole path", "utils/loss_functions/trusted_path.py",
             "visits[:, rows].mul_(trusted)", "visits[:, rows]",
             "tests/utils/loss_functions/test_lav.py::"
             "test_steps_in_another_order_are_pulled_together_only_by_the_whole_path"),
    Mutation("VAOT without structure", "utils/loss_functions/fused_transport.py",
             "alpha=problem.structure_weight * kappa / eps", "alpha=0.0",
             "tests/utils/loss_functions/test_fused_transport.py::"
             "test_structure_matches_neighbours_with_neighbours"),
    Mutation("VAOT has the matched mass twice", "utils/loss_functions/vaot.py", "value=-0.5)", "value=-1.0)",
             "tests/utils/loss_functions/test_vaot.py::test_gradient_by_finite_differences[none-squared]"),
    Mutation("a step without a cluster is left out", "utils/metrics/key_steps.py",
             "scores.append((0.0, 0.0, 0.0))", "pass",
             "tests/utils/metrics/test_key_steps.py::"
             "test_steps_without_a_cluster_count_as_zero_but_not_as_published"),
    Mutation("PROGRESS_LOSS.level ignored", LOSS, "level=progress_config['level']", "level='video'",
             a_setting("PROGRESS_LOSS.level")),
    Mutation("PROGRESS_LOSS.frames ignored", LOSS, "frames=progress_config.get('frames', 'single')", "frames='all'",
             a_setting("PROGRESS_LOSS.frames")),
    Mutation("PROGRESS_LOSS.normalizer ignored", LOSS,
             "by_training_videos = progress_config.get('normalizer', 'own') == 'training'",
             "by_training_videos = False", a_setting("PROGRESS_LOSS.normalizer")),
    Mutation("a path beyond the mean of the training videos is clamped", "utils/tensorops.py", "return path / total\n",
             "return (path / total).clamp(max=1)\n",
             f"{ENTRY}::TestTotalsOfTrainingVideos::"
             "test_a_path_too_long_is_shortened_and_one_too_short_lengthened[0.2-video]"),
    Mutation("validation divides by the paths before the epoch", LOOP,
             "self.state.mean_paths = self._mean_paths(self.model)\n", "pass\n", f"{DIVIDED}[seen0-video]"),
    Mutation("drawn frames divided by the paths of all frames", LOOP, "self._mean_paths(self.model, self.state.epoch)",
             "self._mean_paths(self.model)", f"{DIVIDED}[seen1-video]"),
    Mutation("a resumed epoch measures the paths anew", LOOP, "self.state.batch == 0 and not see_the_same",
             "not see_the_same",
             "tests/test_resume.py::test_a_stop_in_the_middle_of_an_epoch_is_resumed_there[7-overrides4]"),
    Mutation("every video held to the times of the first", LOSS, "_progress_error(outputs[index], times[index], level,",
             "_progress_error(outputs[index], times[0], level,", OWN_TIMES),
    Mutation("a single frame held to the times of the first", LOSS,
             "_progress_error(outputs[chosen], times[chosen], level,",
             "_progress_error(outputs[chosen], times[0], level,", OWN_TIMES),
    Mutation("lambda stands at its start", LOSS, "share = epoch / max(num_epochs - 1, 1)", "share = 0",
             f"{ENTRY}::TestLambda::test_curriculum_is_linear_from_start_to_end"),
    Mutation("validation at lambda's start", LOSS, "loss_function(output_dict_list, num_epochs - 1,",
             "loss_function(output_dict_list, 0,", f"{ENTRY}::TestValidationLoss::test_lambda_stands_at_its_end"),
    Mutation("validation by a single frame", LOSS, "'frames': 'all'}", "'frames': 'single'}",
             f"{ENTRY}::TestValidationLoss::test_progress_is_that_of_all_frames[video]"),
    # ---- Data
    Mutation("test videos validate", DATASET, 'val=dataset("val", train)', 'val=dataset("test", train)',
             f"{SPLITS}::test_steps_take_training_videos_and_validation_its_own"),
    Mutation("validation videos train", DATASET, 'train = dataset("train")', 'train = dataset("val")',
             f"{SPLITS}::test_steps_take_training_videos_and_validation_its_own"),
    Mutation("the seed of drawn frames ignored", DATASET, "seed=settings.seed", "seed=0",
             f"{STEPS}::test_every_epoch_and_seed_draws_frames_of_its_own"),
    Mutation("standardised by the test videos", DATASET,
             'moments for video in prepared.by_split["train"]]', 'moments for video in prepared.by_split["test"]]',
             f"{SPLITS}::test_features_are_standardised_by_the_training_videos"),
    Mutation("STANDARDIZE ignored", SETTINGS, 'standardize=bool(config["STANDARDIZE"])', "standardize=False",
             a_setting("STANDARDIZE")),
    Mutation("SKIP_RATE ignored", SETTINGS, "skip_rate=skip_rate,", "skip_rate=1,", a_setting("SKIP_RATE")),
    Mutation("ANNOTATION_SCALING ignored", SETTINGS, "scaling=scaling,", 'scaling="none",',
             a_setting("ANNOTATION_SCALING")),
    Mutation("UNLABELLED_TAIL ignored", SETTINGS, "tail=tail,", 'tail="refuse",', a_setting("UNLABELLED_TAIL")),
    Mutation("SEGMENT_ENDS ignored", SETTINGS, ", segment_ends, integer_labels,", ', "auto", integer_labels,',
             a_setting("SEGMENT_ENDS")),
    Mutation("INTEGER_LABELS ignored", SETTINGS, "segment_ends, integer_labels, ", 'segment_ends, "refuse", ',
             a_setting("INTEGER_LABELS")),
    Mutation("LABELS ignored", SETTINGS, "segment_ends, integer_labels, labels", "segment_ends, integer_labels, True",
             a_setting("LABELS")),
    Mutation("FEATURES_KEY ignored", SETTINGS, "key=key,", 'key="",', a_setting("FEATURES_KEY")),
    Mutation("VALIDATION_FRACTION ignored", SETTINGS, "validation_fraction=fraction", "validation_fraction=0.15",
             a_setting("VALIDATION_FRACTION")),
    Mutation("FEATURES_FOLDER ignored", SETTINGS, "(MAPS_FOLDER if maps else features)",
             '(MAPS_FOLDER if maps else "features")', a_setting("FEATURES_FOLDER")),
    Mutation("BACKGROUND_LABELS ignored", SETTINGS, '_names(config["BACKGROUND_LABELS"])', '("SIL", "Null")',
             a_setting("BACKGROUND_LABELS")),
    Mutation("the seed of the batches ignored", "utils/data/batches.py", "(self.seed * 1_000_003 + self.epoch)",
             "(1_000_003 + self.epoch)", a_setting("SEED")),
    # ---- A run's folder, its checkpoints, resuming
    Mutation("EXPERIMENTNAME ignored", "utils/training/run_folder.py", "Path(output_folder) / experiment\n",
             'Path(output_folder) / "experiment"\n', a_setting("EXPERIMENTNAME")),
    Mutation("progress normalised by the test videos", RUN_CHECKPOINTS, "(loaded.model, self.data.train, device)",
             "(loaded.model, self.data.test, device)",
             f"{SPLITS}::test_progress_is_normalised_by_the_training_videos[combined]"),
    Mutation("the standardisation is not kept", RUN_CHECKPOINTS, "standardization=self.data.standardization",
             "standardization=None", f"{SPLITS}::test_features_are_standardised_by_the_training_videos"),
    Mutation("a resumed run has fresh weights", RUN_CHECKPOINTS,
             'self.model.load_state_dict(checkpoint["model_state_dict"])', "pass", STOPPED),
    Mutation("a resumed run has fresh moments", RUN_CHECKPOINTS,
             'load_moments(checkpoint.get("optimizer_state_dict"), self.optimizer, self.model)', "pass", STOPPED),
    Mutation("a resumed epoch begins again", LOOP, "self.processes.share(batches, state.batch, repeat=True)",
             "self.processes.share(batches, 0, repeat=True)", STOPPED),
    Mutation("a signal is not noticed", "utils/training/interruption.py", "self.signal_number = number", "pass",
             "tests/test_interruption.py::test_a_second_signal_acts_as_usual"),
    # ---- Evaluation and prediction
    Mutation("an evaluation always judges test videos", "utils/evaluation/checkpoint.py",
             "(request.split, getattr(data, request.split))", "(request.split, data.test)",
             f"{SPLITS}::test_an_evaluation_fits_on_training_videos_and_judges_those_asked_for[val]"),
    Mutation("an evaluation fits on test videos", "utils/evaluation/checkpoint.py",
             '("train", data.train)', '("train", data.test)',
             f"{SPLITS}::test_an_evaluation_fits_on_training_videos_and_judges_those_asked_for[test]"),
    Mutation("a regression fitted on what it judges", "utils/metrics/phase_progression.py",
             "fit_linear_regression(train_embeddings, train_progress)",
             "fit_linear_regression(test_embeddings, test_progress)",
             "tests/utils/metrics/test_phase_progression.py"),
    Mutation("online progress forgets the path so far", "utils/prediction/readouts/path.py",
             "float(path[-1])", "0.0", "tests/utils/prediction/readouts/test_readouts.py"),
    Mutation("failures are told to the end", "utils/prediction/progress/model.py",
             "return end.distances(chunks) > end.limit", "return np.zeros(len(chunks), dtype=bool)",
             "tests/utils/prediction/progress/test_end.py"),
    Mutation("a filter that two heads read moves twice a chunk", "utils/prediction/readouts/chunked.py",
             "found = self._state.update(chunks) if self._found is None else self._found",
             "found = self._state.update(chunks)", "tests/utils/prediction/readouts/test_chunked.py"),
    Mutation("belief goes past the end of a training recording", "utils/prediction/readouts/position_filter.py",
             "inside = np.arange(number) + step <= fitted.lasts", "inside = np.ones(number, dtype=bool)",
             "tests/utils/prediction/readouts/test_position_filter.py"),
    Mutation("labels of the forest from the recording itself", "utils/prediction/readouts/evidence.py",
             "if own != number] or prepared)", "] or prepared)", "tests/utils/prediction/readouts/test_evidence.py"),
)  # fmt: skip


def problems() -> list[str]:
    """What is wrong with the table itself: lines that are not found exactly once, tests that are not there."""
    found = []
    for mutation in MUTATIONS:
        count = (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.old)
        if count != 1:
            found.append(f"{mutation.what}: {mutation.file} holds {mutation.old!r} {count} times; expected once")
        if mutation.old == mutation.new:
            found.append(f"{mutation.what}: it changes nothing")
        path, _, name = mutation.test.partition("::")
        names = name.partition("[")[0].split("::") if name else []
        text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
        if not text or not all(f"def {part}(" in text or f"class {part}:" in text for part in names):
            found.append(f"{mutation.what}: there is no test {mutation.test}")
    return found


def copy_project(folder: Path) -> None:
    """Everything that the tests read, but no results, environments or history."""
    left_out = shutil.ignore_patterns(".*", "__pycache__", "data", "output", "build", "*.egg-info")
    shutil.copytree(ROOT, folder, ignore=lambda path, names: left_out(path, names) if Path(path) == ROOT else
                    shutil.ignore_patterns("__pycache__")(path, names))


def run_tests(folder: Path, *tests: str) -> tuple[int, str]:
    """Pytest's answer and output, in a copy of the project; in a copy of this process, which has the libraries."""
    output = folder.parent / "output.txt"
    child = os.fork()
    if child == 0:
        answer = -1
        try:
            with open(output, "w") as file:
                for stream in (1, 2):
                    os.dup2(file.fileno(), stream)
            os.chdir(folder)
            sys.path[:] = [str(folder), *(path for path in sys.path if Path(path).resolve() != ROOT)]
            for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
                del sys.modules[name]
            answer = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
        finally:
            sys.stdout.flush()
            os._exit(answer)
    answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return answer, output.read_text(encoding="utf-8", errors="replace")


def survives(mutation: Mutation, copy: Path) -> str:
    """'' where the test notices the fault, else what happened."""
    file = copy / mutation.file
    before = file.read_text(encoding="utf-8")
    file.write_text(before.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        answer, output = run_tests(copy, mutation.test)
    finally:
        file.write_text(before, encoding="utf-8")
    if answer == FAILED:
        return ""
    return "SURVIVED" if answer == PASSED else f"the test did not run (pytest answers {answer}): {output[-500:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="text that the description must hold")
    options = parser.parse_args()
    if wrong := problems():
        print("\n".join(wrong))
        return 1
    os.environ.update(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
    sys.dont_write_bytecode = True
    for library in LIBRARIES:
        importlib.import_module(library)
    chosen = [mutation for mutation in MUTATIONS if options.only in mutation.what]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        copy_project(copy)
        answer, output = run_tests(copy, *dict.fromkeys(mutation.test for mutation in chosen))
        if answer != PASSED:
            print(f"without any fault pytest answers {answer}:\n{output}")
            return 1
        survivors = 0
        for mutation in chosen:
            began = time.perf_counter()
            verdict = survives(mutation, copy)
            survivors += bool(verdict)
            seconds = time.perf_counter() - began
            print(f"{verdict or 'caught'} | {mutation.what} | {mutation.file} | {mutation.test} | {seconds:.0f} s",
                  flush=True)
    print(f"{len(chosen)} faults, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
