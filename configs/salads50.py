"""50 Salads, spatial CNN features (128 values a frame): one task, causal encoder, progress loss.

The features come from a network trained on the labels of the training people, so judge on the test split only.

    python multitask_train.py --config configs/salads50.py --config.DATASET_PATH=DATA_ROOT
    python multitask_train.py --config configs/salads50.py --config.PROGRESS_LOSS.level=action
"""

from configs.generic_config import get_generic_config


def get_config():
    CONFIG = get_generic_config()
    CONFIG.EXPERIMENTNAME = 'salads50'
    CONFIG.DATASET_NAME = 'salads50'
    CONFIG.BATCH_SIZE = 4
    CONFIG.NUM_EPOCHS = 15
    CONFIG.LEARNING_RATE = 1e-3
    CONFIG.STANDARDIZE = True
    CONFIG.CAUSAL = True
    CONFIG.ARCHITECTURE = {'MCN': False}
    CONFIG.LOSS_TYPE = {'GTCC': False, 'tcc': True}
    CONFIG.PROGRESS_LOSS = {'enabled': True, 'frames': 'all', 'lambda_fixed': 1.0}
    return CONFIG
