import pytest
import torch
from torch import Tensor

from excise.training.flat import FlatAdam, FlatParameters


def stacked(models: int, dtype: torch.dtype = torch.float32):
    """Parameters of odd sizes, the last of them frozen; a model's numbers do not depend on how many there are."""
    shapes = {"weight": (3, 5), "bias": (3,), "scale": (), "frozen": (2,)}
    random = [torch.Generator().manual_seed(index) for index in range(models)]
    return {
        name: torch.stack([torch.randn(shape, generator=one) for one in random])
        .to(dtype)
        .requires_grad_(name != "frozen")
        for name, shape in shapes.items()
    }


def gradients(tensors: dict[str, Tensor], step: int):
    """Some gradient for every trained parameter: it depends on the number and the step only."""
    return {
        name: (values.detach() * 3 + step).sin() for name, values in tensors.items() if values.requires_grad
    }


def test_trained_parameters_are_views_of_one_buffer_and_so_are_their_gradients():
    given = stacked(4)
    flat = FlatParameters(given)
    assert list(flat.tensors) == list(given)
    (buffer,) = flat.buffers
    for name, values in flat.tensors.items():
        assert torch.equal(values, given[name])
        assert values.data_ptr() != given[name].data_ptr(), "the models' own parameters stay as they are"
    for values in flat.trained:
        assert values.is_leaf
        assert values.grad is not None
        assert values.untyped_storage().data_ptr() == buffer.untyped_storage().data_ptr()
        assert buffer.grad is not None
        assert values.grad.untyped_storage().data_ptr() == buffer.grad.untyped_storage().data_ptr()
        assert values.storage_offset() == values.grad.storage_offset()
        assert values.storage_offset() % 16 == 0
    assert [name for name, values in flat.tensors.items() if not values.requires_grad] == ["frozen"]


def test_backward_adds_up_in_the_buffer_and_clearing_keeps_the_views():
    flat = FlatParameters(stacked(2))
    (buffer,) = flat.buffers
    gradient = buffer.grad
    for _ in range(2):
        flat.clear_gradients()
        sum((values * 2).sum() for values in flat.trained).backward()  # pyright: ignore[reportAttributeAccessIssue] - a sum of tensors is a tensor
        assert buffer.grad is gradient
        assert gradient is not None
        assert gradient.sum() == 2 * sum(values.numel() for values in flat.trained)


def test_each_dtype_has_a_buffer_of_its_own():
    given = stacked(2) | {"fine": torch.ones(2, 3, dtype=torch.float64, requires_grad=True)}
    flat = FlatParameters(given)
    assert [buffer.dtype for buffer in flat.buffers] == [torch.float32, torch.float64]
    assert [values.dtype for values in flat.tensors.values()] == [values.dtype for values in given.values()]


def test_adam_on_the_buffer_is_torchs_adam():
    given = stacked(3, torch.float64)
    flat = FlatParameters(given)
    own = flat.optimiser(None)
    assert isinstance(own, FlatAdam)
    theirs = {
        name: values.detach().clone().requires_grad_() for name, values in given.items() if name != "frozen"
    }
    adam = torch.optim.Adam(theirs.values(), foreach=False, fused=False)
    for step in range(50):
        rate = 0.1 / (step + 1)
        for tensors, optimiser in ((flat.tensors, own), (theirs, adam)):
            optimiser.param_groups[0]["lr"] = rate
            for name, gradient in gradients(tensors, step).items():
                where = tensors[name].grad
                tensors[name].grad = gradient if where is None else where.copy_(gradient)
            optimiser.step()
    for name, values in theirs.items():
        # Double precision, and numbers of size 1: both take the same formula in another order.
        torch.testing.assert_close(flat.tensors[name], values, atol=1e-12, rtol=0)
        assert not torch.equal(values, given[name])


@pytest.mark.parametrize("models", [1, 2, 7, 33])
def test_a_model_moves_by_the_same_bits_however_many_others_there_are(models: int):
    def moved(count: int):
        flat = FlatParameters(stacked(count))
        optimiser = flat.optimiser(None)
        for step in range(20):
            optimiser.param_groups[0]["lr"] = 0.1
            for name, gradient in gradients(flat.tensors, step).items():
                where = flat.tensors[name].grad
                assert where is not None
                where.copy_(gradient)
            optimiser.step()
        return {name: values[0].detach().clone() for name, values in flat.tensors.items()}

    expected, found = moved(3), moved(models)
    for name, values in expected.items():
        assert torch.equal(found[name], values), name


def test_an_optimiser_of_ones_own_is_made_of_the_stacked_parameters():
    flat = FlatParameters(stacked(2))
    made = flat.optimiser(lambda parameters: torch.optim.SGD(parameters, lr=0.5))
    assert made.param_groups[0]["params"] == flat.trained
    before = [values.detach().clone() for values in flat.trained]
    for values in flat.trained:
        assert values.grad is not None
        values.grad.fill_(1)
    made.step()
    for values, old in zip(flat.trained, before, strict=True):
        assert torch.equal(values, old - 0.5)
