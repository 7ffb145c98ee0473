"""The training loss: the alignment losses that the configuration turns on, and the progress term."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.data.frame_segments import action_frames, is_action
from utils.errors import ConfigError
from utils.loss_functions.alignment_terms import AlignmentTerm, alignment_terms
from utils.tensorops import (
    get_normalized_predicted_progress_action,
    get_normalized_predicted_progress_video,
    get_trueprogress,
    get_trueprogress_per_action,
)

TimeDict = Mapping[str, Any]
# Mean total path length of training videos: of a whole video, or at action level of each action by its label.
MeanPath = float | Mapping[str, float]
LossFunction = Callable[..., dict[str, Tensor]]


def compute_progress_loss(
    outputs: Sequence[Tensor],
    times: Sequence[TimeDict],
    level: str = 'video',
    frames: str = 'single',
    generator: torch.Generator | None = None,
    totals: Sequence[MeanPath] | None = None,
) -> Tensor:
    """L1 error of predicted progress, which is computed from the path length of the embeddings.

    Args:
        outputs: (T_i, D) embeddings of the videos.
        times: their time_dicts, in the same order; none is modified. The last segment is assumed to end at the
            video's last frame.
        level: 'video', progress from 0 to 1 over the video; 'action', from 0 to 1 inside each action.
        frames: 'single', one random frame of one random video; 'all', the mean over the frames of every video
            (over the frames of actions at action level), which has far less variance.
        generator: source of the random choices; None uses torch's default generator.
        totals: for each video, the total path length that its path is divided by, such as the mean over training
            videos; at action level the total of each action, by its label, and an action that isn't there is divided
            by the mean of those that are. 0 or None: the path's own total, so that predicted progress ends at 1.
            Predicted progress beyond 1 is not clamped, as online progress is: its error must still shorten the path.

    Returns:
        Scalar in [0, 1]; with totals, it may be greater. Videos of fewer than two frames or without any action are
        ignored. If no video remains, it is zero, but still has a gradient (of zero).

    Raises:
        ValueError: for an unknown level or frames, or another number of time_dicts or totals than of videos.
    """
    if level not in ('video', 'action'):
        raise ValueError(f"level is {level!r}; expected 'video' or 'action'")
    if frames not in ('single', 'all'):
        raise ValueError(f"frames is {frames!r}; expected 'single' or 'all'")
    if len(outputs) != len(times):
        raise ValueError(f"{len(outputs)} videos but {len(times)} time_dicts")
    totals = [None] * len(outputs) if totals is None else totals
    if len(outputs) != len(totals):
        raise ValueError(f"{len(outputs)} videos but {len(totals)} totals")
    usable = [
        index
        for index, (features, time_dict) in enumerate(zip(outputs, times, strict=True))
        if len(features) >= 2 and has_action(time_dict)
    ]
    if not usable:
        return sum((features.sum() * 0 for features in outputs), torch.zeros(()))

    if frames == 'single':
        chosen = usable[_random_index(len(usable), generator)]
        error = _progress_error(outputs[chosen], times[chosen], level, totals[chosen])
        return error[_random_index(len(error), generator)]

    errors = []
    for index in usable:
        error = _progress_error(outputs[index], times[index], level, totals[index])
        if level == 'action':
            # In background, prediction and truth are both 0; counting it would only make the mean smaller.
            inside = torch.from_numpy(action_frames(times[index], len(error)))
            weight = inside.to(error.device, error.dtype, non_blocking=True)
            errors.append((error * weight).sum() / weight.sum())
        else:
            errors.append(error.mean())
    return torch.stack(errors).mean()


def has_action(time_dict: TimeDict) -> bool:
    """Whether a video has any action; without one there is no progress to predict."""
    return bool(is_action(time_dict).any())


def get_progress_lambda(epoch: int, num_epochs: int, progress_config: Mapping[str, Any]) -> float:
    """Weight of the progress loss at an epoch: fixed, or linear from `start` (epoch 0) to `end` (the last)."""
    curriculum = progress_config['lambda_curriculum']
    if not curriculum['enabled']:
        return progress_config['lambda_fixed']
    share = epoch / max(num_epochs - 1, 1)
    return curriculum['start'] + (curriculum['end'] - curriculum['start']) * share


def get_loss_function(config_obj: Any, num_epochs: int | None = None) -> LossFunction:
    """The loss that a configuration asks for.

    Args:
        config_obj: a configuration with LOSS_TYPE, the parameters of the losses, and PROGRESS_LOSS.
        num_epochs: length of the lambda schedule; None takes NUM_EPOCHS of the configuration.

    Returns:
        A function `(output_dict_list, epoch, times_list=None, generator=None, totals=None)` of one model output or a
        list of outputs, and the time_dicts of its videos or a list of such lists. `totals` has, by the name of a
        video, what `compute_progress_loss` divides its path by; it is read, and needed, if PROGRESS_LOSS.normalizer is
        'training'. The function returns a dict of scalars, each summed over the list: `total_loss`, `alignment_loss`,
        `progress_loss` (if the progress term is on; zero without time_dicts) and one `<term>_loss` for each loss that
        is on; and `videos_without_action`, the number of videos that the progress term left out. If there are fewer
        lists of time_dicts than outputs, the first list is used for the remaining outputs. If a list is None, its
        output gets no progress term.

    Raises:
        ConfigError: for an unknown loss in LOSS_TYPE, none turned on, or one that can't be loaded.
    """
    progress_config = getattr(config_obj, 'PROGRESS_LOSS', {'enabled': False})
    if num_epochs is None:
        num_epochs = config_obj.NUM_EPOCHS
    return _loss_function(alignment_terms(config_obj), progress_config, num_epochs)


def _loss_function(
    terms: Mapping[str, AlignmentTerm], progress_config: Mapping[str, Any], num_epochs: int
) -> LossFunction:
    by_training_videos = progress_config.get('normalizer', 'own') == 'training'

    def _alignment_loss_fn(
        output_dict_list: Mapping[str, Any] | list[Mapping[str, Any]],
        epoch: int,
        times_list: list[Any] | None = None,
        generator: torch.Generator | None = None,
        totals: Mapping[str, MeanPath] | None = None,
    ) -> dict[str, Tensor]:
        if not isinstance(output_dict_list, list):
            output_dict_list = [output_dict_list]
        if times_list and not isinstance(times_list[0], (list, type(None))):
            times_list = [times_list]

        names = ['total_loss', 'alignment_loss', *(f'{term}_loss' for term in terms)]
        if progress_config['enabled']:
            names += ['progress_loss', 'videos_without_action']
        losses = {name: torch.zeros(()) for name in names}

        def add(name: str, value: Tensor) -> None:
            losses[name] = losses[name] + value

        for index, output_dict in enumerate(output_dict_list):
            outputs = output_dict['outputs']
            zero = sum((features.sum() * 0 for features in outputs), torch.zeros(()))
            add('total_loss', zero)
            add('alignment_loss', zero)
            times = (times_list[index] if len(times_list) > index else times_list[0]) if times_list else None
            for name, term in terms.items():
                value = zero
                if len(outputs) >= 2:
                    value = term(outputs, output_dict['dropouts'], epoch, times, generator)
                add(f'{name}_loss', value)
                add('alignment_loss', value)
                add('total_loss', value)

            if not progress_config['enabled']:
                continue
            add('progress_loss', zero)
            add('videos_without_action', zero.detach())
            if times is not None:
                if by_training_videos and totals is None:
                    raise ValueError("PROGRESS_LOSS.normalizer is 'training'; expected the totals to divide by")
                value = compute_progress_loss(
                    outputs,
                    times,
                    level=progress_config['level'],
                    frames=progress_config.get('frames', 'single'),
                    generator=generator,
                    totals=[totals[time['name']] for time in times] if by_training_videos else None,
                )
                add('progress_loss', value)
                add('total_loss', get_progress_lambda(epoch, num_epochs, progress_config) * value)
                # Created on the device, because a copy to it would wait.
                left_out = zero.detach().new_full((), sum(not has_action(time) for time in times))
                add('videos_without_action', left_out)
        return losses

    return _alignment_loss_fn


def require_labels(config_obj: Any, unlabelled_tasks: Sequence[str]) -> None:
    """Refuse a progress term inside actions where nobody said where the actions are.

    Raises:
        ConfigError: naming the tasks.
    """
    progress = config_obj.PROGRESS_LOSS
    if unlabelled_tasks and progress['enabled'] and progress['level'] == 'action':
        raise ConfigError(
            f"PROGRESS_LOSS.level is 'action', but there are no labels in {', '.join(map(repr, unlabelled_tasks))}; "
            f"expected 'video', where true progress is then the share of the frames so far"
        )


def gradient_sizes(
    outputs: Sequence[Tensor], losses: Mapping[str, Tensor], progress_lambda: float
) -> dict[str, Tensor]:
    """The influence of each part of the loss on the embedding: the norm of its gradient over all frames.

    Args:
        outputs: the embeddings (T_i, D) that the losses were computed from; their graph is kept.
        losses: what the loss function returned, with the progress term on.
        progress_lambda: weight of the progress loss.

    Returns:
        `alignment_gradient` and `progress_gradient` (times lambda), scalars.
    """

    def norm(loss: Tensor) -> Tensor:
        gradients = torch.autograd.grad(loss, outputs, retain_graph=True, allow_unused=True)
        return torch.stack([each.square().sum() for each in gradients if each is not None]).sum().sqrt()

    return {
        'alignment_gradient': norm(losses['alignment_loss']),
        'progress_gradient': progress_lambda * norm(losses['progress_loss']),
    }


def get_validation_loss_function(config_obj: Any, num_epochs: int | None = None) -> LossFunction:
    """The loss that decides the best checkpoint: the same function of the embedding at every epoch.

    Lambda and the schedule of VAVA have their values of the last epoch, GTCC drops no frame, the progress term uses all
    frames, and every call draws the same anchors. The training loss itself would favour the first epochs if lambda
    rises, and GTCC's drop term a bad alignment: a dropped frame costs less the worse it aligns.

    Returns:
        A function with the same arguments as that of `get_loss_function`; it ignores `epoch`.
    """
    if num_epochs is None:
        num_epochs = config_obj.NUM_EPOCHS
    progress_config = {**getattr(config_obj, 'PROGRESS_LOSS', {'enabled': False}), 'frames': 'all'}
    loss_function = _loss_function(alignment_terms(config_obj, in_validation=True), progress_config, num_epochs)

    def _validation_loss_fn(
        output_dict_list: Any, epoch: int, times_list: list[Any] | None = None,
        totals: Mapping[str, MeanPath] | None = None,
    ) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(config_obj.SEED)
        return loss_function(output_dict_list, num_epochs - 1, times_list, generator, totals)

    return _validation_loss_fn


def _progress_error(features: Tensor, time_dict: TimeDict, level: str, total: MeanPath | None) -> Tensor:
    """(T,) absolute error of predicted progress at every frame."""
    time_dict = _ending_at(time_dict, len(features) - 1)
    if level == 'video':
        predicted = get_normalized_predicted_progress_video(features, total)
        truth = get_trueprogress(time_dict)
    else:
        of_segments = None
        if total is not None:
            unseen = float(np.mean(list(total.values()))) if total else 0.0
            of_segments = [total.get(step, unseen) for step in time_dict['step']]
        predicted = get_normalized_predicted_progress_action(features, time_dict, of_segments)
        truth = get_trueprogress_per_action(time_dict)
    return (predicted - truth.to(features.device, features.dtype, non_blocking=True)).abs()


def _ending_at(time_dict: TimeDict, last_frame: int) -> TimeDict:
    """A time_dict whose last segment ends at `last_frame`; the given one is not changed."""
    if time_dict['end_frame'][-1] == last_frame:
        return time_dict
    if time_dict['start_frame'][-1] > last_frame:
        raise ValueError(
            f"video {time_dict.get('name', '')!r}: the last segment begins at frame {time_dict['start_frame'][-1]}, "
            f"after the last frame {last_frame}"
        )
    return {**time_dict, 'end_frame': [*time_dict['end_frame'][:-1], last_frame]}


def _random_index(number: int, generator: torch.Generator | None) -> int:
    # Drawn on the CPU, so that no synchronisation with a GPU is needed.
    return int(torch.randint(number, (), generator=generator))
