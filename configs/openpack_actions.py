"""OpenPack with the finer annotation, 27 actions (40 motion values a frame): one task, causal encoder.

    python multitask_train.py --config configs/openpack_actions.py --config.DATASET_PATH=DATA_ROOT
    python multitask_train.py --config configs/openpack_actions.py --config.PROGRESS_LOSS.level=action
"""

from configs.generic_config import get_generic_config


def get_config():
    CONFIG = get_generic_config()
    CONFIG.EXPERIMENTNAME = 'openpack_actions'
    CONFIG.DATASET_NAME = 'openpack_actions'
    CONFIG.BACKGROUND_LABELS = (*CONFIG.BACKGROUND_LABELS, 'Ignore')
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
    CONFIG.PROGRESS_LOSS = {'enabled': True, 'frames': 'all', 'lambda_fixed': 1.0}
    return CONFIG
