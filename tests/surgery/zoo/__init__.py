"""Tiny random models, each with a trap for surgery in its name, and each cut written by hand."""

from . import (
    attention,
    conv,
    conv_nets,
    gated,
    hf_decoders,
    hf_encoders,
    odd,
    plain,
    recurrent,
    residual,
    torch_layers,
    transformers_like,
)
from .case import Case, tensors

__all__ = ["CASES", "Case", "tensors"]

FAMILIES = (
    plain,
    conv,
    conv_nets,
    recurrent,
    gated,
    attention,
    residual,
    transformers_like,
    torch_layers,
    odd,
    hf_decoders,
    hf_encoders,
)
CASES: tuple[Case, ...] = tuple(case for family in FAMILIES for case in family.CASES)
