from pathlib import Path

import pytest

from tests.utils.data.builders import config_for
from utils.data.data_settings import read_data_settings
from utils.data.features import FeatureFormat
from utils.errors import DataError

FOLDER = Path("root") / "kitchen"


def test_a_configuration_from_before_the_newer_settings_means_their_defaults():
    settings = read_data_settings(config_for(FOLDER))
    assert settings.annotation_path == FOLDER / "kitchen.json"
    assert settings.split_path == FOLDER / "split.json"
    assert settings.features_folder == FOLDER / "features"
    assert settings.file_format == FeatureFormat(rank=2, features_first=False, skip_rate=1)
    assert settings.max_frames == 0


@pytest.mark.parametrize(
    ("features_folder", "expected"),
    [("i3d", FOLDER / "i3d"), ("../shared", FOLDER / "../shared"), ("/mnt/i3d", Path("/mnt/i3d"))],
)
def test_the_features_folder_counts_from_the_data_set_or_is_absolute(features_folder, expected):
    settings = read_data_settings(config_for(FOLDER, FEATURES_FOLDER=features_folder))
    assert settings.features_folder == expected


def test_maps_are_in_frames_and_frames_first():
    resnet = {"BASEARCH": {"ARCHITECTURE": "resnet50"}}
    settings = read_data_settings(config_for(FOLDER, FEATURES_FOLDER="i3d", **resnet))
    assert settings.features_folder == FOLDER / "frames"
    assert settings.file_format.rank == 4
    with pytest.raises(DataError, match="FEATURE_LAYOUT is 'features_first'; expected 'frames_first', as"):
        read_data_settings(config_for(FOLDER, FEATURE_LAYOUT="features_first", **resnet))


def test_one_name_is_a_list_of_one():
    assert read_data_settings(config_for(FOLDER, TASKS="tea")).tasks == ("tea",)


def test_every_impossible_setting_is_named():
    bad = {
        "DATASET_NAME": "a/b", "DATASET_PATH": None, "FEATURES_FOLDER": "", "FEATURE_LAYOUT": "transposed",
        "SKIP_RATE": True, "MAX_FRAMES": 1, "SEED": -1, "ANNOTATION_SCALING": ["none"],
        "TRAIN_SPLIT": 0.5, "VALIDATION_FRACTION": "half",
    }  # fmt: skip
    with pytest.raises(DataError) as caught:
        read_data_settings(config_for(FOLDER, **bad))
    assert sorted(problem.split()[0] for problem in caught.value.problems) == sorted(bad)
    with pytest.raises(DataError, match="SKIP_RATE is None"):
        read_data_settings({key: value for key, value in config_for(FOLDER).items() if key != "SKIP_RATE"})
