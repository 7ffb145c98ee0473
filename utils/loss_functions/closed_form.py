"""A loss whose gradient is computed beside its value, in one pass.

Where the gradient has a closed form, the tensors of frames by frames that it needs are at hand while the
value is being computed. Accumulating it there means that none of them is kept for the backward pass, however
many pairs of videos a batch holds: what stays alive is one gradient of the size of each embedding.
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
        compute: returns the value of the loss at embeddings that carry no graph and, where `gradients` isn't
            None, adds the gradient to these tensors, which start at zero and are shaped like the embeddings.
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
