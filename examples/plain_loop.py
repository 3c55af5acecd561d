"""A loop of one's own: an autoencoder of small vectors, with the concept "warm" anchored on the first latent axis.

python examples/plain_loop.py
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

import excise as ex

STEPS = 300


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


def train(anchored: ex.Anchoring) -> nn.Sequential:
    """The autoencoder after training; an empty anchoring trains the control."""
    points, _, labelled = warm_points()
    model, draws = autoencoder(), torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with anchored.attach(model) as terms:
        for step in range(STEPS):
            drawn = torch.randint(len(points), (64,), generator=draws)
            loss = functional.mse_loss(model(points[drawn]), points[drawn])
            loss = loss + terms.loss({"warm": labelled[drawn]}, step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


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
