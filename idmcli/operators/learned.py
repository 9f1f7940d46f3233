"""The sampling that a network has learned."""

from __future__ import annotations

from idmcli.operators.matrix import MatrixOperator


class LearnedSampling(MatrixOperator):
    """``y = Phi x`` for the blocks of each channel, with the matrix that a network has learned to measure by.

    It differs from any other matrix in who can reconstruct from it: the network too.

    Example:
        >>> import torch
        >>> LearnedSampling(torch.eye(4)[:2], (1, 4, 6), block=2).measurement_shape
        (1, 6, 2)
    """

    kind = "learned"
