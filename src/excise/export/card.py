"""The model card of an export: what was removed and how, before and after, claims with verdicts, how to load it.

Everything in it that comes from a run (names, prose, claims) is escaped, so that it shows as it was written.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from excise.experiments.recipe import BASELINE
from excise.export.source import Source
from excise.numerals import number

__all__ = ["escaped", "model_card"]

PAPER = (
    "[Sparse Concept Anchoring for Interpretable and Controllable Neural Representations]"
    "(https://arxiv.org/abs/2512.12469) (arXiv 2512.12469)"
)
TAGS = (
    "concept-erasure",
    "excise",
    "interpretability",
    "model-editing",
    "pytorch",
    "sparse-concept-anchoring",
)
VERBS = {"ablate": "zeroed what writes and what reads", "prune": "removed what writes and what reads"}
LOSSES = {"max_mse": "largest of all", "median_mse": "median of all"}


def model_card(
    source: Source,
    files: Mapping[str, str],
    config: Mapping[str, Any],
    *,
    onnx: bool = False,
    repository: str | None = None,
) -> str:
    """The README.md of an export, with the front matter that the Hugging Face Hub reads.

    Args:
        source: what is exported.
        files: by condition, the file that holds its weights.
        config: what config.json holds.
        onnx: whether each file of weights has an ONNX file beside it.
        repository: where on the Hub it will be; None where it will not.
    """
    recipe = source.recipe
    blocks = [
        _front_matter(source),
        f"# {escaped(recipe.title)}",
        f"The model of experiment {escaped(recipe.name)}, {escaped(_what(source))}. {escaped(source.choice())}",
        _failed(source),
        "## What was asked, and how",
        f"*{escaped(recipe.question)}*",
        escaped(recipe.method),
        "## What was removed",
        _removed(source),
        "## Before and after",
        "Reconstruction error, as the mean squared error a channel: over all colours of a grid, then for single ones. "
        "An error that rose is what the edit took; one that did not is what it spared.",
        _errors(source),
        "## Claims",
        "Each was written down, with its threshold, before the run; the verdict is computed.",
        _claims(source),
        "## How to load it",
        _loading(source, files, config, onnx=onnx, repository=repository),
        "## Limits",
        _limits(source),
        "## Licence and citation",
        f"MIT (LICENSE). The method is that of {PAPER}; CITATION.cff has it in a form that programs read. Made with "
        f"excise {escaped(str(config['excise']))}.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    marked = re.sub(r"([\\`*_{}\[\]|~$#!])", r"\\\1", " ".join(text.split()))
    marked = marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # What begins a list or a rule would do so in a paragraph, and an address would become a link.
    marked = re.sub(
        r"^([-+=]|\d+(?=[.)](?:\s|$)))", lambda mark: f"&#{ord(mark[0][0])};{mark[0][1:]}", marked
    )
    return re.sub(r"(?<=\w):(?=//)|(?<=www)\.|@(?=\w)", lambda mark: f"&#{ord(mark[0])};", marked)


def _front_matter(source: Source) -> str:
    """YAML in which every text is a JSON string, which is YAML, too."""
    lines = [
        "license: mit",
        "library_name: excise",
        "tags:",
        *(f"- {tag}" for tag in TAGS),
        f"model_name: {json.dumps(source.recipe.title)}",
        f"excise_recipe: {json.dumps(source.recipe.name)}",
        f"excise_condition: {json.dumps(source.condition)}",
    ]
    return "\n".join(["---", *lines, "---"])


def _what(source: Source) -> str:
    if source.condition == BASELINE:
        return "unedited"
    return f"{source.condition}; the model as it was before the edit lies beside it"


def _failed(source: Source) -> str:
    """Claims that do not hold are told before anything else."""
    failed = [claim["claim"] for claim in source.results["claims"] if not claim["passed"]]
    if not failed:
        return ""
    told = "\n".join(f"> - {escaped(claim)}" for claim in failed)
    verb = "does" if len(failed) == 1 else "do"
    return f"> **{len(failed)} of {len(source.results['claims'])} claims {verb} not hold for this model:**\n>\n{told}"


def _removed(source: Source) -> str:
    lines = []
    for condition, edit in source.edits.items():
        dims = ", ".join(map(str, edit.dims))
        what = f"{'feature' if len(edit.dims) == 1 else 'features'} {dims} (counted from 0)"
        lines.append(
            f"- **{escaped(condition)}**: {VERBS[edit.mode]} {what} of the layer {escaped(edit.layer)}. Nothing was "
            f"trained afterwards."
        )
    if not lines:
        lines.append("Nothing: these are the weights as they were trained.")
    if source.interventions:
        names = ", ".join(f"**{escaped(each.condition)}**" for each in source.interventions)
        lines.append(
            f"\n{names}: an intervention edits activations while the model runs. It is not in any file of weights "
            f"here, and the model does without it unless it is applied anew (`excise.intervene`, with what the run's "
            f"spec.json holds)."
        )
    return "\n".join(lines)


def _errors(source: Source) -> str:
    measured = source.results["conditions"]
    names = next(iter(measured.values()))["named_colors"]
    rows = [
        [label, *(_number(condition[key]) for condition in measured.values())]
        for key, label in LOSSES.items()
    ]
    rows += [
        [name, *(_number(condition["named_colors"].get(name)) for condition in measured.values())]
        for name in names
    ]
    if any("selectivity" in condition for condition in measured.values()):
        rows.append(
            ["selectivity", *(_number(condition.get("selectivity")) for condition in measured.values())]
        )
    headings = [
        f"{name} (not in weights)" if name in {each.condition for each in source.interventions} else name
        for name in measured
    ]
    return _table(["", *headings], rows, numbers=len(headings))


def _claims(source: Source) -> str:
    rows = [
        [
            "holds" if claim["passed"] else "does not hold",
            claim["claim"],
            f"{claim['holds']} {_number(claim['threshold'])} ({claim['threshold_is']})",
            _number(claim["measured"]),
        ]
        for claim in source.results["claims"]
    ]
    return _table(["verdict", "claim", "wanted", "measured"], rows, numbers=1)


def _loading(
    source: Source,
    files: Mapping[str, str],
    config: Mapping[str, Any],
    *,
    onnx: bool,
    repository: str | None,
) -> str:
    inputs = config["inputs"]
    held = "\n".join(
        f"- `{file}`: {escaped(condition)}, {config['conditions'][condition]['parameters']} parameters"
        + (f"; as ONNX, `{file.removesuffix('.safetensors')}.onnx`" if onnx else "")
        for condition, file in files.items()
    )
    if source.condition in source.edits:
        held += "\n- `plan.json`: the edit as data, with which `excise.surgery.load` reads `model.safetensors`, too"
    fetch = (
        ""
        if repository is None
        else f"""import sys

from huggingface_hub import snapshot_download

sys.path.insert(0, snapshot_download("{repository}"))
"""
    )
    before = "" if source.condition == BASELINE else f'\nbefore = load("{BASELINE}")'
    return f"""{held}

`load.py` needs torch and nothing else{"" if fetch else ". In this folder, or with it on `sys.path`"}:

```python
{fetch}import torch

from load import load

model = load()  # {_one_word(source.condition)}{before}
print(model(torch.rand(1, {inputs})))
```

It takes `[..., {inputs}]` and gives as many numbers, bit for bit what the model of the run gives on one
machine. The latent is the output of `model.{_one_word(source.recipe.latent_layer)}`.
config.json has the layers and their sizes."""


def _limits(source: Source) -> str:
    lines = [
        "A verdict is what was measured, on these colours and for this seed; another seed may do otherwise.",
        "What an edit took from the outputs is gone from the weights that carried it. That the concept cannot be "
        "brought back by training, or found elsewhere in the model, is not shown by that.",
        "It is an autoencoder of colours, made to study the method. It is of no use for anything else.",
    ]
    if source.sweep is not None:
        lines.insert(1, "The seed was chosen among others, and so is not a typical one in every respect.")
    return "\n".join(f"- {line}" for line in lines)


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: int) -> str:
    """A Markdown table whose last `numbers` columns hold numbers."""
    cells = [[escaped(cell) for cell in row] for row in (headings, *rows)]
    width = len(cells[0])
    cells.insert(1, [":--"] * (width - numbers) + ["--:"] * numbers)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _number(value: float | None) -> str:
    return number(value, 3, padded=True)


def _one_word(name: str) -> str:
    """A name that stands in code: nothing in it can end the line or the block."""
    return re.sub(r"[^\w.-]", "-", name)
