"""EgoProceL for users who have features of it: eleven tasks, crosstask network.

    python multitask_train.py --config configs/egoprocel.py --config.DATASET_PATH=DATA_ROOT

Expects <DATASET_PATH>/egoprocel/egoprocel.json and features/<handle>.npy. Features may be sampled at another
rate than the annotation: it is stretched to their length. Frames are many (up to 33,000 a video), so every
tenth is kept; set SKIP_RATE to 1 if your features are already sampled at a lower rate.
"""

from configs.generic_config import get_generic_config

# The five kitchen tasks recorded by several cameras (*.cmu) are left out: the published annotation holds a list
# of actions for every camera but names the videos of only one, so most lists would be used with a wrong video.
TASKS = (
    'BaconAndEggs.egtea', 'Cheeseburger.egtea', 'ContinentalBreakfast.egtea', 'GreekSalad.egtea',
    'PastaSalad.egtea', 'Pizza.egtea', 'TurkeySandwich.egtea', 'meccano', 'pc_assembly', 'pc_disassembly', 'tent',
)


def get_config():
    CONFIG = get_generic_config()
    CONFIG.EXPERIMENTNAME = 'egoprocel'
    CONFIG.DATASET_NAME = 'egoprocel'
    CONFIG.TASKS = TASKS
    CONFIG.ANNOTATION_SCALING = 'proportional'
    CONFIG.SKIP_RATE = 10
    CONFIG.NUM_EPOCHS = 50
    CONFIG.LEARNING_RATE = 1e-4
    CONFIG.LOSS_TYPE = {'GTCC': False, 'tcc': True}
    CONFIG.PROGRESS_LOSS = {'enabled': True, 'frames': 'all'}
    return CONFIG
