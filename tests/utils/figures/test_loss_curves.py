import numpy as np
import pytest

from utils.figures.loss_curves import CRITERIA_TITLE, TERMS_TITLE, plot_loss_curves

CRITERIA = {"combined": "total_loss", "alignment": "alignment_loss"}
NAN = float("nan")


def rows_of(**columns):
    lengths = {len(values) for values in columns.values()}
    return [{"epoch": epoch, **{name: v[epoch] for name, v in columns.items()}} for epoch in range(*lengths)]


def curves(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def panels(figure):
    return {axes.get_title(): curves(axes) for axes in figure.axes}


def test_training_is_drawn_beside_the_same_function_in_validation(tmp_path, drawn):
    rows = rows_of(
        train_total_loss=[5.0, 4.0], val_at_epoch_total_loss=[6.0, 5.5], val_total_loss=[9.0, 8.0],
        train_progress_loss=[1.0, 0.5], val_at_epoch_progress_loss=[2.0, 1.5], val_progress_loss=[2.0, 1.5],
        train_lambda=[0.1, 0.2],
    )
    plot_loss_curves(rows, tmp_path / "loss.png", CRITERIA)
    assert panels(drawn[0]) == {
        "total loss": {"training recordings": [[1, 5], [2, 4]], "validation recordings": [[1, 6], [2, 5.5]]},
        "progress loss": {"training recordings": [[1, 1], [2, 0.5]], "validation recordings": [[1, 2], [2, 1.5]]},
        "best combined (total loss)": {"validation recordings": [[1, 9], [2, 8]], "lowest: 8, epoch 2": [[2, 8]]},
    }
    assert [part.get_suptitle() for part in drawn[0].subfigs] == [TERMS_TITLE, CRITERIA_TITLE]


def test_each_criterion_has_its_own_lowest_epoch(tmp_path, drawn):
    rows = rows_of(
        train_total_loss=[1.0] * 4, val_total_loss=[3.0, 1.5, NAN, 2.0], val_alignment_loss=[2.0, 1.0, 0.25, 0.25]
    )
    plot_loss_curves(rows, tmp_path / "loss.png", CRITERIA)
    drawn_panels = panels(drawn[0])
    assert drawn_panels["best combined (total loss)"]["lowest: 1.5, epoch 2"] == [[2, 1.5]]
    assert drawn_panels["best alignment (alignment loss)"]["lowest: 0.25, epoch 3"] == [[3, 0.25]]
    values = np.array(drawn_panels["best combined (total loss)"]["validation recordings"])
    np.testing.assert_array_equal(values[:, 1], [3, 1.5, NAN, 2])


def test_equal_curves_share_a_panel(tmp_path, drawn):
    equal = {f"{g}_{t}_loss": [3.0, NAN] for g in ("train", "val_at_epoch", "val") for t in ("total", "alignment")}
    plot_loss_curves(rows_of(**equal), tmp_path / "loss.png", CRITERIA)
    assert list(panels(drawn[0])) == [
        "total = alignment loss", "best combined (total loss) = alignment (alignment loss)"
    ]


@pytest.mark.parametrize("value", [0.5, NAN, float("inf")])
def test_one_epoch_without_validation(tmp_path, drawn, value):
    plot_loss_curves([{"epoch": 0, "train_total_loss": value}], tmp_path / "loss.png", CRITERIA)
    assert (tmp_path / "loss.png").is_file()
    assert [line.get_label() for line in drawn[0].axes[0].lines] == ["training recordings"]
    assert len(drawn[0].axes) == 1


def test_without_any_loss_an_empty_picture_is_written(tmp_path):
    plot_loss_curves([{"epoch": 0, "train_seconds": 1.0}], tmp_path / "loss.png", CRITERIA)
    assert (tmp_path / "loss.png").is_file()
