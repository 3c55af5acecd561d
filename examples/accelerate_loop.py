"""The same in Accelerate: several processes, mixed precision and gradient accumulation are its business.

python examples/accelerate_loop.py        or        accelerate launch examples/accelerate_loop.py
"""

from collections import OrderedDict

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import excise as ex

EPOCHS = 20
STEPS = 320


def warm_points() -> tuple[Tensor, Tensor, Tensor]:
    """A thousand points `[sample, 4]`, which of them are warm, and which are labelled so: half of those."""
    draws = torch.Generator().manual_seed(0)
    points = torch.rand(1000, 4, generator=draws)
    warm = points[:, 0] > 0.7
    return points, warm, (warm & (torch.rand(1000, generator=draws) < 0.5)).float()


def autoencoder() -> nn.Sequential:
    """Four numbers to three latents and back."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 32), nn.GELU(), nn.Linear(32, 3))
    decoder = nn.Sequential(nn.GELU(), nn.Linear(3, 32), nn.GELU(), nn.Linear(32, 4))
    return nn.Sequential(OrderedDict(encoder=encoder, decoder=decoder))


def anchoring() -> ex.Anchoring:
    """Warm to the first axis, everything apart from each other; the schedule moves the weight of each."""
    pull = ex.Term("pull", ex.Anchor([1, 0, 0]), layer="encoder", affinities={"warm": 1.0})
    push = ex.Term("push", ex.Separate(power=10), layer="encoder")
    weights = {"pull": {0: 0.0, 50: 0.5, STEPS - 1: 0.5}, "push": {0: 0.0, 50: 0.05, STEPS - 1: 0.0}}
    return ex.Anchoring([pull, push], ex.Dopesheet.from_keyframes(weights))


def train(anchored: ex.Anchoring) -> nn.Module:
    """The autoencoder after training; an empty anchoring trains the control."""
    points, _, labelled = warm_points()
    accelerator = Accelerator(cpu=True)
    model = autoencoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    shuffle = torch.Generator().manual_seed(1)
    loader = DataLoader(TensorDataset(points, labelled), batch_size=64, shuffle=True, generator=shuffle)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    step = 0
    # Of several processes the model is a wrapper, whose layers have other names: the hooks go onto what is inside.
    with anchored.attach(accelerator.unwrap_model(model)) as terms:
        for _ in range(EPOCHS):
            for inputs, warm in loader:
                with accelerator.accumulate(model):
                    loss = functional.mse_loss(model(inputs), inputs) + terms.loss({"warm": warm}, step)
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
                step += accelerator.sync_gradients
    return accelerator.unwrap_model(model)


def cosines(model: nn.Module) -> dict[str, float]:
    """The mean cosine to the first latent axis, of what is warm and of the rest."""
    points, warm, _ = warm_points()
    with torch.no_grad(), ex.capture(model, ["encoder"]) as latents:
        model(points)
    along = functional.normalize(latents["encoder"], dim=-1)[:, 0]
    return {"warm": along[warm].mean().item(), "rest": along[~warm].mean().item()}


def main() -> dict[str, dict[str, float]]:
    """Train with the terms and without them."""
    found = {"anchored": cosines(train(anchoring())), "control": cosines(train(ex.Anchoring([])))}
    for name, along in found.items():
        print(
            f"{name}: cosine to the axis {along['warm']:.2f} for what is warm, {along['rest']:.2f} for the rest"
        )
    return found


if __name__ == "__main__":
    main()
