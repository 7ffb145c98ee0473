"""Every setting with its default. An experiment file changes what it needs:

    from configs.generic_config import get_generic_config

    def get_config():
        CONFIG = get_generic_config()
        CONFIG.DATASET_NAME = 'salads50'
        CONFIG.PROGRESS_LOSS = {'enabled': True}    # the group's other settings keep their defaults
        return CONFIG

and the command line changes any of them: `--config.NUM_EPOCHS=3 --config.PROGRESS_LOSS.level=action`.
"""

from configs.settings import Settings
from utils.data.segments import BACKGROUND_LABELS

CONFIG = Settings()

# ---- Run ---------------------------------------------------------------------------------------------------
CONFIG.EXPERIMENTNAME = 'experiment'   # runs are written to <OUTPUT_FOLDER>/<EXPERIMENTNAME>/run-NNN
CONFIG.OUTPUT_FOLDER = 'output'
CONFIG.SEED = 0                        # the one seed: weights, order of batches, anchors, random frames
CONFIG.DEVICE = 'auto'                 # 'auto' takes a GPU where there is one; or 'cpu', 'cuda', 'cuda:1'
CONFIG.PRECISION = 'float32'           # of the network in training steps; or 'bfloat16' (autocast; losses in float32)
CONFIG.FIT_PROGRESS = True             # after training, choose how progress is read: see docs/progress.md
CONFIG.TENSORBOARD = False             # also write the losses of every epoch to <run>/tensorboard (extra: tensorboard)

# ---- Data --------------------------------------------------------------------------------------------------
CONFIG.DATASET_NAME = 'synthetic'      # <DATASET_PATH>/<DATASET_NAME>/ holds <DATASET_NAME>.json and features/
CONFIG.DATASET_PATH = 'data'
CONFIG.TASKS = ()                      # names of the tasks to use; () means all
CONFIG.LABELS = True                   # False: train on the features alone; <DATASET_NAME>.json is then not needed, and
                                       # if it is there, only its tasks and handles are read
CONFIG.BACKGROUND_LABELS = BACKGROUND_LABELS    # ('SIL', 'background', '0', 'Null', 'G0')
CONFIG.INTEGER_LABELS = 'refuse'       # labels are text; 'take': whole numbers are labels too
CONFIG.SEGMENT_ENDS = 'auto'           # 'exclusive': the next segment starts at the end; 'inclusive': a frame later;
                                       # 'auto': what all boundaries of the file show, else an error
CONFIG.UNLABELLED_TAIL = 'refuse'      # frames after the last segment: 'refuse' (but 2 or 1 %), or 'background'
CONFIG.ANNOTATION_SCALING = 'none'     # 'proportional' stretches the annotation to the length of the features
CONFIG.FRAME_RATE = 0.0                # of the features, frames per second; 0: that of features of videos, else unknown
CONFIG.SKIP_RATE = 1                   # keep every SKIP_RATE-th frame
CONFIG.MAX_FRAMES = 0                  # longer videos: train on this many frames, drawn each epoch; 0: on all
CONFIG.STANDARDIZE = False             # features to zero mean and unit variance over the training split
CONFIG.TRAIN_SPLIT = (0.65, 0.5)       # if there is no split.json: share for training; share of the rest for validation
CONFIG.VALIDATION_FRACTION = 0.15      # with a split.json that names no "val": share of its training videos
CONFIG.LAZY_LOAD = True                # read features when they are needed; False keeps them (NUM_WORKERS = 0)
CONFIG.FEATURE_LAYOUT = 'frames_first' # feature files are (T, D); 'features_first': (D, T), as in MS-TCN
CONFIG.FEATURES_KEY = ''               # array of a .npz, .pt, HDF5 or Parquet file; '': the only one, or 'features'
CONFIG.FEATURES_FOLDER = 'features'    # folder of the feature files: relative to the data set's folder, or absolute
CONFIG.VIDEOS_FOLDER = 'videos'        # likewise of videos; features that are missing are made of them (docs/video.md)
CONFIG.ENCODER = ''                    # how: see docs/video.md; '': as those that are there, else the default
CONFIG.MOTION = False                  # with the difference of successive features, where ENCODER is set
CONFIG.CAMERAS = ()                    # folders in VIDEOS_FOLDER, one a camera, where ENCODER is set

CONFIG.NUM_WORKERS = 0                 # processes that read features ahead of the step

# ---- Optimisation ------------------------------------------------------------------------------------------
CONFIG.BATCH_SIZE = 2                  # videos of one task in a batch
CONFIG.NUM_EPOCHS = 50
CONFIG.LEARNING_RATE = 1e-4
CONFIG.WEIGHT_DECAY = 0.0
CONFIG.MAX_GRAD_NORM = 1.0
CONFIG.MAX_BAD_STEPS = 20              # this many non-finite losses in a row stop the run
CONFIG.CKPT_EVERY = 10                 # epochs between ckpt/epoch-N.pt; 0 writes none

# ---- Network -----------------------------------------------------------------------------------------------
CONFIG.OUTPUT_DIMENSIONALITY = 128     # width of the embedding
CONFIG.CAUSAL = False                  # True: no output depends on a future frame
CONFIG.BASEARCH = {
    'ARCHITECTURE': 'temporal_stacking',   # 'temporal_stacking', 'resnet50' (conv4c maps) or 'naive' (frame-wise)
    'Resnet50_ARCH': {
        'temporal_depth': 2,               # frames of context of each frame, itself included
        'conv_num_channels': 512,          # channels of both convolutions
        'fc_layers': (512, 512),           # hidden layers after the maximum over time and place
        'frames_per_chunk': 16,            # frames convolved at once; limits memory
        'variant': 'standard',             # 'original' reproduces checkpoints of the original code
    },
    'TEMPORAL_STACKING_ARCH': {
        'temporal_depth': 2,               # frames that the first convolution sees
        'conv_num_channels': 512,
        'num_layers': 7,                   # convolutions; all but the first see 3 frames
        'hidden_channels': (),             # width after each convolution but the last, in place of the two above
    },
    'NAIVE_ARCH': {
        'layers': (1024, 512, 512, 256),   # hidden layers of the frame-wise network
    },
}
CONFIG.ARCHITECTURE = {
    'skip': True,                          # the embedding is that of the features plus what the network adds; False:
                                           # the network's output alone, as in the original code
    'skip_means': (4, 16, 64),             # the skip also takes the means of so many last frames, at first none of it
    'MCN': True,                           # the crosstask network over the encoder; False: the encoder alone
    'num_heads': 0,                        # 0: as many heads as training tasks
    'head_layers': (512, 128, 256),
    'attn_layers': (256, 128),
    'attention_layout': 'per_frame',       # 'interleaved' reproduces checkpoints of the original code
    'dropping': True,                      # the drop network, which GTCC needs when gamma < 1
    'drop_layers': (256, 512, 256, 128),
}

# ---- Alignment losses --------------------------------------------------------------------------------------
CONFIG.LOSS_TYPE = {
    'GTCC': True,
    'tcc': False,
    'LAV': False,
    'VAVA': False,
    'VAOT': False,
}
# Losses from outside the repository: the name of each, and its function as module:function, such as
# {'my_loss': 'my_losses:my_loss'}. LOSS_TYPE then has 'my_loss', off until it is turned on. Only training imports
# it; evaluation and prediction don't. See docs/extending.md.
CONFIG.CUSTOM_LOSSES = {}
CONFIG.CUSTOM_LOSS_PARAMS = {}             # parameters of each loss, such as {'my_loss': {'margin': 0.5}}
CONFIG.TCC_ORIGINAL_PARAMS = {
    'softmax_temp': 0.25,                  # the paper's: 0.1, too few neighbours (docs/alignment.md)
    'alignment_variance': 0.001,           # lambda of the log-variance term; 0: plain squared error
    'similarity': 'squared_per_dimension',
    'normalization': 'unit',               # frames have length sqrt(D) in the loss; or 'none', the paper's
}
CONFIG.GTCC_PARAMS = {
    'softmax_temp': 0.25,                  # as in TCC_ORIGINAL_PARAMS
    'max_gmm_iters': 8,
    'n_components': 1,                     # soft neighbours of an anchor; the paper's: 15
    'delta': 1.0,                          # width of the cycle-back window, as a share of the video; the paper's: 0.2
    'gamma': 1.0,                          # the lowest keep probability is gamma^(epoch + 1), the paper's 0.95; 1: no
                                           # frame is dropped
    'reciprocal': 'frame',                 # balance of the drop term: one 'frame', the paper's, or 'chance'
    'alignment_variance': 0.001,           # as in TCC_ORIGINAL_PARAMS; the paper's: 0, better where gamma < 1
    'anchors_per_video': 100,              # the paper's: 20
    'soft_neighbours': 'responsibilities', # or 'components', the paper's: see `GTCC_loss`
    'similarity': 'squared_per_dimension',
    'normalization': 'unit',               # as in TCC_ORIGINAL_PARAMS
}
CONFIG.LAV_PARAMS = {
    'min_temp': 0.1,                       # smoothing of soft-DTW
    'alpha': 1.0,                          # weight of the contrastive regulariser of each video
    'margin': 2.0,                         # least embedding distance of frames that are further apart than the window
    'window': 0.02,                        # a share of the video's length; before: 0.1
    'similarity': 'squared_per_dimension',
    'trust': 0.2,                          # only look-alikes on the path are pulled together; the paper's: 0, the whole
                                           # path, which assumes one order of the steps
    'normalization': 'unit',               # as in TCC_ORIGINAL_PARAMS
}
CONFIG.VAVA_PARAMS = {
    'zeta': 0.1,                           # cost of leaving a frame unmatched; before: 0.25
    'regularization': 0.1,                 # of the optimal transport
    'prior_width': 0.1,                    # of both priors, as a share of the video
    'consistency_decay': 0.95,             # the weight of the consistency prior is multiplied by it every epoch
    'intra_weight': 1.0,
    'inter_weight': 1.0,
    'margin': 2.0,
    'window': 0.02,                        # as in LAV_PARAMS
    'inter_margin': 0.5,
    'iterations': 20,                      # of Sinkhorn
    'similarity': 'squared_per_dimension',
    'normalization': 'unit',               # as in TCC_ORIGINAL_PARAMS
}
CONFIG.VAOT_PARAMS = {
    'softmax_temp': 0.25,                  # as in TCC_ORIGINAL_PARAMS
    'structure_weight': 0.3,               # 0: neighbours in time need not be matched with neighbours
    'radius': 0.04,                        # how far neighbours are apart, as a share of the video
    'order_weight': 0.1,                   # of the prior that both videos have the same speed
    'zeta': 0.5,                           # cost of leaving a frame unmatched
    'regularization': 0.07,                # of the optimal transport
    'iterations': 10,                      # of the optimal transport
    'intra_weight': 0.0,                   # of the contrastive regulariser of each video, as in LAV
    'margin': 2.0,
    'window': 0.1,
    'similarity': 'squared_per_dimension',
    'normalization': 'unit',               # as in TCC_ORIGINAL_PARAMS
}

# ---- Progress loss -----------------------------------------------------------------------------------------
# Progress Loss Configuration
CONFIG.PROGRESS_LOSS = {
    'enabled': False,              # Enable/disable progress loss
    'level': 'video',              # 'video' or 'action' (which GT progress to use)
    'lambda_fixed': 0.1,           # Fixed weight coefficient
    'lambda_curriculum': {
        'enabled': False,          # Enable curriculum schedule
        'start': 0.0,              # Starting weight (epoch 0)
        'end': 1.0,                # Final weight (last epoch)
    },
}
CONFIG.PROGRESS_LOSS.frames = 'single'  # 'single' random frame of one video, or 'all' frames (less variance)
CONFIG.PROGRESS_LOSS.normalizer = 'own' # a path is divided by its 'own' total, or, as online progress is, by the mean
                                        # total of the task's (at action level the action's) 'training' videos

CONFIG.lock()

# Groups to which an experiment file may add; `complete_config` checks what it added.
OPEN_GROUPS = ('LOSS_TYPE', 'CUSTOM_LOSSES', 'CUSTOM_LOSS_PARAMS')


def get_generic_config() -> Settings:
    """A copy of all defaults, for an experiment file to change."""
    config = CONFIG.copy_and_resolve_references()
    for group in OPEN_GROUPS:
        config[group].unlock()
    return config
