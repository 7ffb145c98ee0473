"""The alignment losses. Each is a pure function of the embeddings of a batch of videos of one task."""

from utils.loss_functions.gtcc import GTCC_loss
from utils.loss_functions.lav import LAV_loss
from utils.loss_functions.tcc import TCC_loss
from utils.loss_functions.vava import VAVA_loss

__all__ = ["GTCC_loss", "LAV_loss", "TCC_loss", "VAVA_loss"]
