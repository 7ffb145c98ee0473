import csv
import math
import sys

import numpy as np
import pytest
from PIL import Image

import multitask_train
from tests.conftest import training_arguments
from utils.errors import MissingExtraError
from utils.training.log import TrainingLog, epoch_row
from utils.training.tensorboard import TensorBoardLog, require_tensorboard, tag

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def events(folder):
    accumulator = event_accumulator.EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def scalars(folder):
    """By tag, step and value as TensorBoard shows them."""
    read = events(folder)
    return {name: [(e.step, e.value) for e in read.Scalars(name)] for name in read.Tags()["scalars"]}


def rows_of(losses):
    return [
        epoch_row(i, train={"total_loss": loss, "lambda": 0.5}, val={"total_loss": loss, "at_epoch_total_loss": loss})
        for i, loss in enumerate(losses)
    ]


def test_tags_are_grouped_by_what_the_loss_was_measured_on():
    columns = ("train_total_loss", "val_progress_loss", "val_at_epoch_GTCC_loss", "train_val_at")
    assert [tag(each) for each in columns] == [
        "train/total_loss", "val/progress_loss", "val_at_epoch/GTCC_loss", "train/val_at"
    ]


def test_every_column_of_the_log_is_written_once_an_epoch(tmp_path):
    log, rows = TensorBoardLog(tmp_path), rows_of([4.0, 2.0, 1.0])
    for number in (1, 2, 3):
        log.write(rows[:number])
    written = scalars(tmp_path)
    assert set(written) == {"train/total_loss", "train/lambda", "val/total_loss", "val_at_epoch/total_loss"}
    assert written["val/total_loss"] == [(1, 4.0), (2, 2.0), (3, 1.0)]
    assert [step for step, _ in written["train/lambda"]] == [1, 2, 3]


@pytest.mark.parametrize("resumed_after", [0, 1, 2, 3])
def test_a_resumed_run_has_no_epoch_twice_and_none_missing(tmp_path, resumed_after):
    """Wherever the state from which it goes on stands: behind the events, or ahead of them."""
    TensorBoardLog(tmp_path).write(rows_of([4.0, 2.0]))
    log, again = TensorBoardLog(tmp_path), rows_of([4.0, 2.5, 1.5, 1.25])
    for number in range(max(1, resumed_after), 5):
        log.write(again[:number])
    assert scalars(tmp_path)["train/total_loss"] == [(1, 4.0), (2, 2.5), (3, 1.5), (4, 1.25)]


def test_values_that_are_not_finite_are_kept(tmp_path):
    TensorBoardLog(tmp_path).write(rows_of([math.nan, math.inf]))
    values = [value for _, value in scalars(tmp_path)["train/total_loss"]]
    assert math.isnan(values[0])
    assert values[1] == math.inf


def test_the_loss_curves_are_shown(tmp_path):
    log = TrainingLog(tmp_path, {"combined": "total_loss"}, tensorboard=True)
    rows = rows_of([4.0, 2.0])
    log.write(rows, curves=True)
    (image,) = events(tmp_path / "tensorboard").Images("loss_curves")
    (tmp_path / "shown.png").write_bytes(image.encoded_image_string)
    with Image.open(tmp_path / "shown.png") as shown, Image.open(tmp_path / "loss_curves.png") as drawn:
        np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), np.asarray(drawn.convert("RGB")))
    assert image.step == 2


def test_nothing_is_written_unless_it_is_asked_for(tmp_path):
    TrainingLog(tmp_path, {}).write(rows_of([1.0]))
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_missing_package_is_said_before_any_work_with_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as where it can't be found
    line = r'not installed: pip install "alignment-progress\[tensorboard\]"'
    with pytest.raises(MissingExtraError, match=line):
        require_tensorboard()
    # The data does not exist: had it been looked for, its absence would have been the error.
    arguments = training_arguments(tmp_path / "no data", tmp_path / "output", "--config.TENSORBOARD=true")
    with pytest.raises(MissingExtraError, match=line):
        multitask_train.main(["multitask_train.py", *arguments])
    assert not (tmp_path / "output").exists()


def test_a_training_and_its_resumption_write_what_metrics_csv_holds(data_root, tmp_path):
    def train(*overrides):
        assert multitask_train.main(["train", *training_arguments(data_root, tmp_path, *overrides)]) == 0

    train("--config.NUM_EPOCHS=1")  # the setting may change in a resumed run
    train("--config.NUM_EPOCHS=2", "--config.TENSORBOARD=true", "--resume", "auto")
    train("--config.NUM_EPOCHS=3", "--config.TENSORBOARD=true", "--resume", "auto")
    run = tmp_path / "demo" / "run-001"
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    written = scalars(run / "tensorboard")
    assert set(written) == {tag(column) for column in rows[0]} - {"epoch"}
    for column in set(rows[0]) - {"epoch"}:
        assert [step for step, _ in written[tag(column)]] == [1, 2, 3]
        values = [value for _, value in written[tag(column)]]
        np.testing.assert_allclose(values, [float(row[column]) for row in rows], rtol=1e-6)
    assert [image.step for image in events(run / "tensorboard").Images("loss_curves")][-1] == 3
