import copy
import random
import threading

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from excise.errors import SurgeryError
from excise.surgery.copying import copied, same_randomness, state_of


def test_a_tensor_remembered_from_a_forward_pass_does_not_stop_a_copy():
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    seen = vars(model)["seen"] = model(torch.ones(1, 2))
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(model)
    twin = copied(model)
    assert torch.equal(vars(twin)["seen"], seen)
    assert vars(twin)["seen"] is not seen
    assert seen.grad_fn is not None


def test_a_model_that_cannot_be_copied_is_refused_with_the_cause():
    model = nn.Linear(2, 2)
    vars(model)["lock"] = threading.Lock()
    with pytest.raises(SurgeryError, match=r"Linear cannot be copied .*lock"):
        copied(model)


def test_random_numbers_are_the_same_every_time_and_draw_on_nobodys_state():
    def draws():
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002 - as users' code may

    def states():
        return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002 - as above

    inside: list[tuple[float, ...]] = []
    for _ in range(2):
        # The shape checks of these tests draw from Python's generator when the block is made, not when it runs.
        block = same_randomness(nn.Linear(2, 2))
        before = states()
        with block:
            inside.append(draws())
            assert states() != before
        assert states() == before
    assert inside[0][:2] == inside[1][:2]
    assert draws() != draws()


class Changing(nn.Module):
    """Its forward pass writes into its own tensors and holds new ones."""

    average: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3, max_norm=0.1)
        self.register_buffer("average", torch.zeros(3))
        self.last: Tensor | None = None

    def forward(self, words: Tensor) -> Tensor:
        y = self.table(words)
        self.average.add_(y.mean(0))
        self.last, self.seen = y, len(words)
        return y


def test_a_copy_goes_back_to_the_state_before_a_pass_that_changed_it():
    model = Changing()
    before, shadow = copy.deepcopy(model.state_dict()), copied(model)
    restore = state_of(shadow, model)
    with torch.no_grad():
        for _ in range(2):
            shadow(torch.arange(5))
            assert not torch.equal(shadow.table.weight, before["table.weight"])
            restore()
            assert all(torch.equal(value, before[name]) for name, value in shadow.state_dict().items())
            assert shadow.last is None
            assert not hasattr(shadow, "seen")
