"""A loss whose gradient is computed together with its value, in one pass.

If the gradient has a closed form, the (frames x frames) tensors that it needs exist while the value is computed.
The gradient is accumulated at this moment, so none of these tensors is kept for the backward pass, however many
pairs of videos a batch has. Only one gradient of the size of each embedding is kept.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from utils.loss_functions.precision import without_autocast

Computation = Callable[[list[Tensor], list[Tensor] | None], Tensor]


def with_closed_form_gradient(compute: Computation, sequences: Sequence[Tensor]) -> Tensor:
    """compute(sequences, gradients) as a differentiable scalar.

    Args:
        compute: returns the value of the loss at embeddings without a graph. If `gradients` isn't None, it adds the
            gradient to these tensors, which are zero at first and have the shapes of the embeddings.
        sequences: embeddings (T_i, D) of one floating-point type on one device.

    Returns:
        Scalar tensor. Its backward pass only multiplies; there is no second derivative. Under autocast
        everything is still computed in the type of the embeddings.
    """
    wanted = torch.is_grad_enabled() and any(sequence.requires_grad for sequence in sequences)
    with without_autocast(sequences[0].device):
        return _ClosedForm.apply(compute, wanted, *sequences)


class _ClosedForm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, compute: Computation, wanted: bool, *sequences: Tensor) -> Tensor:
        gradients = [torch.zeros_like(sequence) for sequence in sequences] if wanted else None
        value = compute(list(sequences), gradients)
        if wanted:
            ctx.save_for_backward(*gradients)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        return None, None, *(upstream * gradient for gradient in ctx.saved_tensors)
