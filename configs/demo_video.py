"""The demo of videos: a robot arm puts a ring on a peg; TCC, progress loss. See docs/video.md and `make demo-video`.

    python -m utils.annotation.importer docs/demo_video/steps.csv data/demo_video --format table \\
        --columns label=step --unit seconds --videos docs/demo_video/videos
    python multitask_train.py --config configs/demo_video.py
    python multitask_train.py --config configs/demo_video.py --config.NUM_EPOCHS=5
"""

from configs.generic_config import get_generic_config


def get_config():
    CONFIG = get_generic_config()
    CONFIG.EXPERIMENTNAME = 'demo_video'
    CONFIG.DATASET_NAME = 'demo_video'
    CONFIG.VIDEOS_FOLDER = '../../docs/demo_video/videos'  # from data/demo_video; features are made of them
    CONFIG.FRAME_RATE = 10.0
    CONFIG.STANDARDIZE = True
    CONFIG.BATCH_SIZE = 4
    CONFIG.NUM_EPOCHS = 20
    CONFIG.LEARNING_RATE = 1e-3
    CONFIG.OUTPUT_DIMENSIONALITY = 32
    CONFIG.CAUSAL = True
    CONFIG.BASEARCH = {'TEMPORAL_STACKING_ARCH': {'conv_num_channels': 64, 'num_layers': 4}}
    CONFIG.ARCHITECTURE = {
        'MCN': False,
        'head_layers': (64, 64, 64),
        'attn_layers': (64, 64, 64),
        'drop_layers': (64, 64, 64),
    }
    CONFIG.LOSS_TYPE = {'GTCC': False, 'tcc': True}
    CONFIG.PROGRESS_LOSS = {'enabled': True, 'frames': 'all', 'lambda_fixed': 5.0}
    return CONFIG
