"""The demo: a synthetic procedural data set, TCC, progress loss; a minute or two.

    python -m utils.data.synthetic data/synthetic --videos 32 --nuisances 1
    python multitask_train.py --config configs/demo.py
    python multitask_train.py --config configs/demo.py --config.PROGRESS_LOSS.level=action --config.NUM_EPOCHS=3
"""

from configs.generic_config import get_generic_config


def get_config():
    CONFIG = get_generic_config()
    CONFIG.EXPERIMENTNAME = 'demo'
    CONFIG.DATASET_NAME = 'synthetic'
    CONFIG.BATCH_SIZE = 4
    CONFIG.NUM_EPOCHS = 20
    CONFIG.LEARNING_RATE = 1e-3
    CONFIG.OUTPUT_DIMENSIONALITY = 32
    CONFIG.CAUSAL = True
    CONFIG.BASEARCH = {'TEMPORAL_STACKING_ARCH': {'conv_num_channels': 64, 'num_layers': 4}}
    # The crosstask network (MCN: True) aligns worse here (docs/alignment.md).
    CONFIG.ARCHITECTURE = {
        'MCN': False,
        'head_layers': (64, 64, 64),
        'attn_layers': (64, 64, 64),
        'drop_layers': (64, 64, 64),
    }
    CONFIG.LOSS_TYPE = {'GTCC': False, 'tcc': True}
    # The weights 1 and 5 align equally well here (docs/alignment.md).
    CONFIG.PROGRESS_LOSS = {'enabled': True, 'frames': 'all', 'lambda_fixed': 5.0}
    return CONFIG
