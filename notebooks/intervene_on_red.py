"""Intervene on red: suppress it while the model runs, choose how strongly and from where on, see who pays."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Intervene on red")


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Intervene on red

    A cut in the weights is for good. Often one wants less: a concept that is off while a model runs under some
    condition, with the weights left as they are. This notebook takes the colour autoencoder of experiment 2.4, in
    whose latent red was anchored on the first axis, and edits the latent on its way to the decoder: how strongly,
    from which angle on, and what the colours pay that hold some red.
    """)
    return


@app.cell
def _():
    import math

    import marimo as mo
    import numpy as np
    import pandas as pd
    import torch

    import excise as ex
    from excise import color, figures
    from excise.experiments.catalogue import find_recipe
    from excise.interventions.intervened import Intervened
    from excise.numerals import number
    from excise.seeding import generator
    from excise.showing import Frame
    from excise.training.progress import progress_for

    return (
        Frame,
        Intervened,
        color,
        ex,
        figures,
        find_recipe,
        generator,
        math,
        mo,
        np,
        number,
        pd,
        progress_for,
        torch,
    )


@app.cell
def _(mo):
    arguments = mo.cli_args() if mo.app_meta().mode else {}
    seed = int(arguments.get("seed", 0))
    return (seed,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## A model with red in its place
    """)
    return


@app.cell
def _(ex, find_recipe, generator, progress_for, seed):
    recipe = find_recipe("2.4")
    model = recipe.model.build(generator(seed, "init"))
    with progress_for() as _progress:
        history = ex.fit(
            model, recipe.data.build(), recipe.anchoring(), seed=seed, observers=[_progress], log_every=25
        )
    history
    return (model,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## How much red is in each colour

    Latents have length 1, so that their first coordinate is the cosine of the angle to red's direction: the
    alignment. At 1 a colour lies where red was anchored, at 0 at right angles to it, below 0 it points away.
    """)
    return


@app.cell
def _(Frame, color, ex, model, pd):
    RED = [1.0, 0.0, 0.0, 0.0]
    HUES = ["red", "orange", "pink", "yellow", "magenta", "lime", "purple", "cyan", "white", "gray", "black"]
    named = color.named_colors().sel(color=HUES)
    latents = ex.evaluation.latents_of(model, "bottleneck", named.to_numpy())
    alignment = pd.Series(latents[:, 0], index=HUES, name="alignment with red")
    Frame(alignment.sort_values(ascending=False).to_frame())
    return RED, alignment, named


@app.cell(hide_code=True)
def _(alignment, mo):
    mo.md(f"""
    Red itself lies at {alignment["red"]:.2f}. Orange and pink, 30 degrees of hue from it, are mixtures:
    {alignment["orange"]:.2f} and {alignment["pink"]:.2f}. Whatever suppresses red by its direction meets them too.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Strength

    `suppress` takes a share of what points along the direction away. With strength 1 it is all of it.
    """)
    return


@app.cell
def _(Frame, Intervened, RED, ex, model, named, pd):
    def errors_with(*interventions):
        edited = Intervened(model, "bottleneck", *interventions) if interventions else model
        return ex.evaluation.evaluate({"edited": edited}, named)["error"].isel(condition=0).to_pandas()

    strengths = [0, 0.25, 0.5, 0.75, 1]
    by_strength = pd.DataFrame(
        {
            f"strength {strength}": errors_with(ex.Suppression(RED, ex.BoundedFalloff(0, strength, 0)))
            for strength in strengths
        }
    )
    untouched = errors_with()
    Frame(by_strength, "Error by strength")
    return by_strength, errors_with, untouched


@app.cell(hide_code=True)
def _(by_strength, mo, number, untouched):
    mo.md(f"""
    The error of red grows from {number(by_strength["strength 0"]["red"])} to
    {number(by_strength["strength 1"]["red"])}, and the mixtures pay with it: orange ends at
    {number(by_strength["strength 1"]["orange"])}, pink at {number(by_strength["strength 1"]["pink"])}. Cyan points
    away from red and is
    {"untouched, to the bit" if by_strength["strength 1"]["cyan"] == untouched["cyan"] else "touched a little"}.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Falloff

    A falloff gives each alignment a strength of its own: none up to a start, from there a power of how far it is to
    full alignment. A start is the cosine of an angle: what lies further from red than that angle is spared whole.
    """)
    return


@app.cell
def _(ex, figures, math, np, torch):
    falloffs = {
        "all of it": ex.BoundedFalloff(0, 1, 0),
        "squared": ex.BoundedFalloff(0, 1, 2),
        "within 60°": ex.BoundedFalloff(math.cos(math.radians(60)), 1, 0),
        "within 30°": ex.BoundedFalloff(math.cos(math.radians(30)), 1, 0),
        "within 60°, linear": ex.BoundedFalloff(math.cos(math.radians(60)), 1, 1),
    }
    angles = np.linspace(-1, 1, 401)
    figures.strength_lobes(
        [
            (name, angles, falloff(torch.from_numpy(angles).clamp(min=0)).numpy())
            for name, falloff in falloffs.items()
        ],
        name="falloffs",
        title="Falloffs",
    )
    return (falloffs,)


@app.cell
def _(Frame, RED, errors_with, ex, falloffs, number, pd):
    by_falloff = pd.DataFrame(
        {name: errors_with(ex.Suppression(RED, falloff)) for name, falloff in falloffs.items()}
    )
    mixed = by_falloff.loc[["orange", "pink"]].max()
    prices = "; ".join(
        f"*{name}* {number(float(mixed[name]))} for {number(float(by_falloff[name]['red']))} of red"
        for name in falloffs
    )
    Frame(by_falloff, "Error by falloff")
    return (prices,)


@app.cell(hide_code=True)
def _(mo, prices):
    mo.md(f"""
    What mixtures pay for red, as the error of the worse of orange and pink: {prices}. A start buys mixtures free,
    one after the other, as the angle narrows. A power above 0 sets in gently instead of tearing neighbours apart,
    and costs effect on red where red does not lie at full alignment. So choose the start first, at the highest
    alignment of what must be spared, and then the strength.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Turn away instead

    Suppression leaves a shorter latent. `repel` turns it away from the direction and keeps its length: a mapper
    gives each alignment its new one. What else the latent says grows to fill the place, so that red becomes another
    colour rather than a faint one.
    """)
    return


@app.cell
def _(Frame, RED, errors_with, ex, math, pd):
    repelled = {
        "repelled to 60°": ex.Repulsion(RED, ex.BezierMapper(0, math.cos(math.radians(60)))),
        "repelled to 90°": ex.Repulsion(RED, ex.LinearMapper(0, 0)),
    }
    by_repulsion = pd.DataFrame({name: errors_with(edit) for name, edit in repelled.items()})
    Frame(by_repulsion, "Error by repulsion")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Look

    The edit of the experiment: suppressed with the square of the alignment. Each cell has the colour that the model
    draws, the patch inside it the true one.
    """)
    return


@app.cell
def _(Intervened, RED, color, ex, falloffs, figures, model):
    grid = color.hsv_grid(24, 4, 6)
    gentle = Intervened(model, "bottleneck", ex.Suppression(RED, falloffs["squared"]))
    drawn = ex.evaluation.evaluate({"suppressed": gentle}, grid)["output"].isel(condition=0, drop=True)
    figures.color_slices(grid, drawn, name="colors-suppressed", title="Colours, suppressed")
    return (gentle,)


@app.cell
def _(Intervened, RED, color, ex, falloffs, figures, gentle, model):
    fine = color.hsv_grid([hue / 72 for hue in range(73)], 4, 6)
    sharp = Intervened(model, "bottleneck", ex.Suppression(RED, falloffs["within 60°"]))
    along = ex.evaluation.evaluate({"suppressed": gentle, "within 60°": sharp}, fine)["error"]
    figures.error_curves(
        along.sel(condition="suppressed", drop=True),
        fine,
        name="error-squared",
        title="Error, squared falloff",
    )
    return along, fine


@app.cell
def _(along, figures, fine):
    figures.error_curves(
        along.sel(condition="within 60°", drop=True), fine, name="error-60", title="Error, a step at 60°"
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Was it the direction?

    A control: the same edit along each of the other axes, where red was not anchored.
    """)
    return


@app.cell
def _(Frame, errors_with, ex, falloffs, np, pd):
    controls = pd.DataFrame(
        {
            f"axis {axis}": errors_with(ex.Suppression(np.eye(4)[axis].tolist(), falloffs["all of it"]))
            for axis in range(4)
        }
    )
    Frame(controls, "Error by the axis that is suppressed")
    return (controls,)


@app.cell(hide_code=True)
def _(controls, mo, number):
    mo.md(f"""
    Along its own axis red is left with an error of {number(controls["axis 0"]["red"])}, along the others with at
    most {number(controls.loc["red", ["axis 1", "axis 2", "axis 3"]].max())}: those take other colours.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What it does not show

    The output shows less red. The latents before the edit still tell it, and so may what is left of them after it;
    whoever runs the model can leave the edit out. For a cut that stays, see `delete_warmth.py`. And this was one
    seed: `excise run 2.4.1 --seeds 60` says how much depends on it.
    """)
    return


if __name__ == "__main__":
    app.run()
