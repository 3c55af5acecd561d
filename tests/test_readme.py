import re
import subprocess
import sys
from pathlib import Path

import torch

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLE, OWN_LOOP = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_example_runs_as_printed_and_shows_what_the_text_says():
    printed = subprocess.run(
        [sys.executable, "-c", EXAMPLE], capture_output=True, text=True, check=True
    ).stdout
    baseline, pruned = (
        {name: float(value) for name, value in zip(("red", "cyan", "lime", "white"), row, strict=True)}
        for row in re.findall(r"^(?:baseline|pruned)" + r"\s+(\S+)" * 4 + "$", printed, flags=re.MULTILINE)
    )
    assert baseline["red"] < 0.001
    assert pruned["red"] > 0.25
    assert max(pruned["lime"], pruned["white"]) < 0.01


def test_the_loop_of_ones_own_runs_as_printed():
    import excise as ex
    from excise import color

    model = color.NormalizedMLP(generator=torch.Generator().manual_seed(0))
    namespace = {
        "anchoring": ex.Anchoring([ex.Term("unit", ex.Unitarity(), layer="encoder")]),
        "model": model,
        "mse": torch.nn.functional.mse_loss,
        "x": torch.rand(8, 3, generator=torch.Generator().manual_seed(0)),
        "labels": {},
        "step": 0,
    }
    exec(compile(OWN_LOOP, "README.md", "exec"), namespace)
    loss = namespace["loss"]
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    assert model.encoder[0].weight.grad is not None


def test_every_file_that_the_readme_names_exists():
    root = Path(__file__).parent.parent
    for name in re.findall(r'(?:src|srcset)="([^"]+)"', README):
        assert (root / name).is_file()
    tree = re.search(r"```\nsrc/excise/\n(.*?)\ntests/", README, flags=re.DOTALL)
    assert tree is not None
    named = set(re.findall(r"(?:^  |  )([a-z_]+(?:/|\.py)) ", tree[1], flags=re.MULTILINE))
    there = {path.name + ("/" if path.is_dir() else "") for path in (root / "src/excise").iterdir()}
    assert named == {name for name in there if re.fullmatch(r"[a-z]+(/|\.py)", name)}
