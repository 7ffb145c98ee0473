"""GTEA, seven kitchen tasks by four people (128 values a frame): the multi-task case.

    python multitask_train.py --config configs/gtea.py --config.DATASET_PATH=DATA_ROOT
    python multitask_train.py --config configs/gtea.py --config.PROGRESS_LOSS.level=action
"""

from configs.generic_config import get_generic_config


def get_config():
    CONFIG = get_generic_config()
    CONFIG.EXPERIMENTNAME = 'gtea'
    CONFIG.DATASET_NAME = 'gtea'
    CONFIG.BATCH_SIZE = 4
    CONFIG.NUM_EPOCHS = 15
    CONFIG.LEARNING_RATE = 1e-3
    CONFIG.STANDARDIZE = True
    CONFIG.CAUSAL = True
    # The crosstask network (MCN: True) takes three times as long and aligns no better (docs/alignment.md).
    CONFIG.ARCHITECTURE = {'MCN': False}
    CONFIG.LOSS_TYPE = {'GTCC': False, 'tcc': True}
    CONFIG.PROGRESS_LOSS = {'enabled': True, 'frames': 'all', 'lambda_fixed': 1.0}
    return CONFIG
