"""OpenPack, one worker packing boxes, ten work operations (40 motion values a frame): one task, causal encoder.

    python multitask_train.py --config configs/openpack.py --config.DATASET_PATH=DATA_ROOT
    python multitask_train.py --config configs/openpack.py --config.PROGRESS_LOSS.level=action
"""

from configs.generic_config import get_generic_config


def get_config():
    CONFIG = get_generic_config()
    CONFIG.EXPERIMENTNAME = 'openpack'
    CONFIG.DATASET_NAME = 'openpack'
    CONFIG.BATCH_SIZE = 4
    CONFIG.NUM_EPOCHS = 15
    CONFIG.LEARNING_RATE = 1e-3
    CONFIG.TRAIN_SPLIT = (0.55, 0.22)  # of 20 boxes in order: 11 train, 2 validate, the last 7 test
    CONFIG.STANDARDIZE = True
    CONFIG.CAUSAL = True
    # Narrow: 40 values a frame, and 11 training boxes.
    CONFIG.BASEARCH = {'TEMPORAL_STACKING_ARCH': {'conv_num_channels': 128}}
    CONFIG.ARCHITECTURE = {'MCN': False}
    CONFIG.LOSS_TYPE = {'GTCC': False, 'tcc': True}
    # One order of the steps, so the whole path may count: better here in KTW (docs/alignment.md).
    CONFIG.LAV_PARAMS = {'trust': 0.0, 'normalization': 'none', 'window': 0.1}
    CONFIG.VAVA_PARAMS = {'normalization': 'none', 'window': 0.1, 'zeta': 0.25}
    CONFIG.PROGRESS_LOSS = {'enabled': True, 'frames': 'all', 'lambda_fixed': 1.0}
    return CONFIG
