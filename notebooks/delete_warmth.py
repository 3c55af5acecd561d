"""Delete warmth: anchor red while a colour autoencoder trains, cut its axis out, count what went and what it cost."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Delete warmth")


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Delete warmth

    To take a concept out of a network, one has to know where the network keeps it. After an ordinary training
    nobody does: the concept is spread over directions that serve others too, and a cut takes those along.

    Here the order is turned around. While an autoencoder of colours learns, a few noisy labels draw red to one axis
    of its latent. After the training that axis is cut out of the weights. Then we look at what is gone, at what it
    cost, and at whether the next seed does the same. This is experiment 2.6 of the series.
    """)
    return


@app.cell
def _():
    import marimo as mo
    import pandas as pd

    import excise as ex
    from excise import color, figures
    from excise.numerals import number
    from excise.seeding import generator
    from excise.showing import Frame
    from excise.training.progress import progress_for

    return Frame, color, ex, figures, generator, mo, number, pd, progress_for


@app.cell
def _(mo):
    # The experiment takes 3,000 steps, and 20 seeds or more to say anything about seeds:
    # marimo edit notebooks/delete_warmth.py -- --steps 3000 --seeds 20
    arguments = mo.cli_args() if mo.app_meta().mode else {}
    num_steps = int(arguments.get("steps", 2000))
    seed = int(arguments.get("seed", 1))
    seeds = range(seed, seed + int(arguments.get("seeds", 4)))
    return num_steps, seed, seeds


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The data

    The colours of a grid in hue, saturation and value. A colour carries the label *red* or *vibrant* now and then,
    the likelier the purer it is, and at each visit anew.
    """)
    return


@app.cell
def _(color, figures):
    labels = {
        "red": color.WeakLabel("redness", power=10, scale=0.5),
        "vibrant": color.WeakLabel("vibrancy", power=100, scale=0.5),
    }
    stream = color.hsv_stream(labels)
    labelled = {
        name: float((stream.weights * chance).sum() / stream.weights.sum())
        for name, chance in stream.label_probabilities.items()
    }
    grid = color.hsv_grid(hues=24, saturations=4, values=6)
    figures.color_slices(grid, None, name="colors-true", title="True colours")
    return grid, labelled, stream


@app.cell(hide_code=True)
def _(labelled, mo, stream):
    mo.md(f"""
    There are {len(stream):,} colours. Of all visits {labelled["red"]:.2%} are labelled *red* and
    {labelled["vibrant"]:.1%} *vibrant*: that is all the supervision there is.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What pulls where, and when

    Four terms act on the latent. *Unitarity* draws it to length 1 before it is scaled to that length, the *anchor*
    draws what is labelled red to the first axis, *planarity* draws what is labelled vibrant into the plane of the
    first two, and *separate* keeps all latents from crowding together. Their weights and the learning rate are
    keyframes of a dopesheet. All pulls are off before the training ends, so that the last stretch serves the
    colours alone.
    """)
    return


@app.cell
def _(ex, num_steps):
    terms = [
        ex.Term("unit", ex.Unitarity(), layer="encoder"),
        ex.Term("anchor", ex.Anchor([1, 0, 0, 0]), layer="bottleneck", affinities={"red": 1.0}),
        ex.Term("separate", ex.Separate(power=100, shift=True), layer="bottleneck"),
        ex.Term("planar", ex.Planarity(), layer="bottleneck", affinities={"vibrant": 1.0}),
    ]
    schedule = ex.Dopesheet.parse(
        f"""STEP,PHASE,ACTION,lr,separate,anchor,unit,planar
    0,Train,,1e-8,0.01,0.01,0.01,0.01
    +10,,,0.01,,,,
    +0.5,,,,0.01,,,
    {num_steps // 3},,,0.1,0.01,0.04,0.1,0.1
    +0.9,,,,0,0,0,0
    {num_steps},,,0.05,0,0,0,0
    """
    )
    schedule
    return schedule, terms


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Train
    """)
    return


@app.cell
def _(color, ex, generator, progress_for, schedule, seed, stream, terms):
    def untrained(seed):
        return color.NormalizedMLP(latent_dim=4, generator=generator(seed, "init"))

    model = untrained(seed)
    with progress_for() as _progress:
        history = ex.fit(
            model, stream, ex.Anchoring(terms, schedule), seed=seed, observers=[_progress], log_every=25
        )
    history
    return model, untrained


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Cut

    The edit is planned first. The axis is followed through a recorded forward pass to every weight that writes or
    reads it, the cut is tried on a copy, and the copy is held against the model with the axis set to zero. Only
    then does `apply` make an edited copy; the model stays as it is.
    """)
    return


@app.cell
def _(ex, model):
    edit = ex.surgery.plan(model, "bottleneck", dims=[0], mode="prune")
    pruned = edit.apply(model)
    edit
    return (pruned,)


@app.cell
def _(ex, grid, model, pruned):
    ablated = ex.ablate(model, "bottleneck", dims=[0])
    difference = ex.evaluation.disagreement(ablated, pruned, grid)
    return (difference,)


@app.cell(hide_code=True)
def _(difference, mo, number):
    mo.md(f"""
    Pruning makes the latent narrower; ablating leaves its shape and zeroes what writes and reads the axis. They are
    one function: over the grid above, no output of the one differs from the other's by more than
    {number(difference)}.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Look
    """)
    return


@app.cell
def _(ex, figures, grid, model, pruned):
    conditions = {"baseline": model, "pruned": pruned}
    measured = ex.evaluation.evaluate(conditions, grid)
    after = measured.sel(condition="pruned", drop=True)
    figures.color_slices(grid, after["output"], name="colors-pruned", title="What the pruned model draws")
    return conditions, measured


@app.cell
def _(color, conditions, ex, figures):
    fine = color.hsv_grid([hue / 72 for hue in range(73)], 4, 6)
    fine_error = ex.evaluation.evaluate(conditions, fine)["error"].sel(condition="pruned", drop=True)
    figures.error_curves(
        fine_error,
        fine,
        name="error-pruned",
        title="Reconstruction error after the cut",
        levels={"red as a random colour: 1/3": 1 / 3},
    )
    return


@app.cell
def _(color, ex, figures, model):
    views = [(1, 0, 2), (1, 2, 0), (1, 3, 0)]
    cube = color.rgb_grid(8).to_numpy().reshape(-1, 3)
    drawn = ex.evaluation.evaluate({"baseline": model}, color.rgb_grid(8))["output"].to_numpy().reshape(-1, 3)
    figures.latent_views(
        ex.evaluation.latents_of(model, "bottleneck", cube),
        cube,
        drawn,
        views=views,
        name="latents",
        title="Where the colours lay before the cut",
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What went, and what it cost

    An error of 1/3 is what red would have if a random colour were drawn in its place. A colour counts as lost from
    0.1 and as kept up to 0.05.
    """)
    return


@app.cell
def _(Frame, color, conditions, ex):
    LOST, KEPT = 0.1, 0.05
    WARM_AND_COOL = ["red", "cyan"]
    SPARED = ["lime", "purple", "white", "gray", "black"]
    named = ex.evaluation.evaluate(conditions, color.named_colors())["error"].to_pandas().T
    Frame(named.sort_values("pruned", ascending=False), "Error of each named colour")
    return KEPT, LOST, SPARED, WARM_AND_COOL, named


@app.cell
def _(LOST, measured, number):
    def lost_in_words(errors):
        names = [str(name) for name in errors.index[errors >= LOST]]
        return f"{', '.join(names)}: {len(names)} of {len(errors)}" if names else "no named colour"

    medians = measured["error"].median(["h", "s", "v"]).to_pandas().map(number)
    return lost_in_words, medians


@app.cell(hide_code=True)
def _(color, lost_in_words, medians, mo, named, number):
    mo.md(f"""
    Lost after the cut: **{lost_in_words(named["pruned"])}**. Red has an error of {number(named["pruned"]["red"])},
    where it had {number(named["baseline"]["red"])}, and its opposite cyan has {number(named["pruned"]["cyan"])}: an
    axis has two ends, and what is cut is warm against cool. At right angles to red, lime has
    {number(named["pruned"]["lime"])} and purple {number(named["pruned"]["purple"])}; the worst of the grays is at
    {number(named["pruned"][list(color.GRAYS)].max())}. Over the whole grid the median error rises from
    {medians["baseline"]} to {medians["pruned"]}: that is the price for the rest.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Was it the anchor?

    A control: the same weights at the start, the same colours, the same cut, but nothing that pulls.
    """)
    return


@app.cell
def _(
    Frame,
    color,
    ex,
    named,
    num_steps,
    pd,
    progress_for,
    seed,
    stream,
    untrained,
):
    rate_only = ex.Dopesheet.from_keyframes({"lr": {0: 1e-8, 10: 0.01, num_steps // 3: 0.1, num_steps: 0.05}})
    control = untrained(seed)
    with progress_for() as _progress:
        ex.fit(control, stream, ex.Anchoring([], rate_only), seed=seed, observers=[_progress], log_every=25)
    control_named = ex.evaluation.evaluate(
        {"control": control, "control, pruned": ex.prune(control, "bottleneck", dims=[0])},
        color.named_colors(),
    )["error"]
    control_named = control_named.to_pandas().T
    Frame(
        pd.DataFrame({"anchored": named["pruned"], "control": control_named["control, pruned"]}).sort_values(
            "anchored", ascending=False
        ),
        "Error of each named colour after the cut",
    )
    return (control_named,)


@app.cell(hide_code=True)
def _(control_named, lost_in_words, mo):
    mo.md(f"""
    Without the anchor, the same cut loses {lost_in_words(control_named["control, pruned"])}. Every axis of a
    trained network holds something; only the anchor says what.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## One seed proves nothing

    The same training from other starting weights and other draws. `fit_lockstep` trains all of them at once, as one
    batch of stacked parameters, in a fraction of the time that they would take one by one.
    """)
    return


@app.cell
def _(
    KEPT,
    LOST,
    SPARED,
    WARM_AND_COOL,
    color,
    ex,
    progress_for,
    schedule,
    seeds,
    stream,
    terms,
    untrained,
):
    models = [untrained(each) for each in seeds]
    with progress_for() as _progress:
        ex.fit_lockstep(
            models,
            stream,
            ex.Anchoring(terms, schedule),
            seeds=list(seeds),
            observers=[_progress],
            log_every=25,
        )
    cuts = {
        str(each): ex.prune(trained, "bottleneck", dims=[0])
        for each, trained in zip(seeds, models, strict=True)
    }
    over_seeds = ex.evaluation.evaluate(cuts, color.named_colors())["error"].rename(condition="seed")
    over_seeds = over_seeds.assign_coords(seed=list(seeds))
    holds = (over_seeds.sel(color=WARM_AND_COOL) >= LOST).all("color") & (
        over_seeds.sel(color=SPARED) <= KEPT
    ).all("color")
    return holds, over_seeds


@app.cell
def _(color, figures, holds, over_seeds):
    figures.seed_strip(
        over_seeds,
        color.named_colors().to_numpy(),
        (~holds).to_numpy(),
        name="seeds",
        title="Named colours over seeds, pruned",
        levels={"reference 1/3": 1 / 3},
    )
    return


@app.cell(hide_code=True)
def _(SPARED, holds, mo, number, over_seeds, seeds):
    mo.md(f"""
    In **{int(holds.sum())} of {len(seeds)} seeds** red and cyan are lost while {", ".join(SPARED)} are kept. Over
    the seeds, red ends between {number(float(over_seeds.sel(color="red").min()))} and
    {number(float(over_seeds.sel(color="red").max()))}.

    That is not yet proof of absence. The error says what this model draws, not whether the concept can be brought
    back; and where seeds fail, the report of `excise run 2.6 --seeds 60` names them.
    """)
    return


if __name__ == "__main__":
    app.run()
