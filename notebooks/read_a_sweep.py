"""Read a sweep: open many seeds of one experiment and see spread, claims, the front, the best seed and the worst."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Read a sweep")


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Read a sweep

    One seed proves nothing. A sweep trains the same recipe from many seeds, and each of them is a run directory of
    its own. This notebook opens such a sweep and asks what a reader should ask of it: how far the numbers spread,
    which claims hold in how many seeds, which seed was chosen and why, and what the worst one looks like.

    To read one of yours, name its directory: `marimo edit notebooks/read_a_sweep.py -- --run runs/2.4.1/...`
    """)
    return


@app.cell
def _():
    import atexit
    import tempfile
    from pathlib import Path

    import marimo as mo
    import numpy as np

    import excise as ex
    from excise import figures
    from excise.experiments.catalogue import find_recipe
    from excise.experiments.sweep import run_sweep
    from excise.numerals import number
    from excise.showing import Frame
    from excise.training.progress import progress_for

    return (
        Frame,
        Path,
        atexit,
        ex,
        figures,
        find_recipe,
        mo,
        np,
        number,
        progress_for,
        run_sweep,
        tempfile,
    )


@app.cell
def _(mo):
    arguments = mo.cli_args() if mo.app_meta().mode else {}
    path = arguments.get("run")
    num_seeds = int(arguments.get("seeds", 4))
    return num_seeds, path


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Open it

    Without a path, a small sweep is made in a temporary folder.
    """)
    return


@app.cell
def _(
    Path,
    atexit,
    ex,
    find_recipe,
    mo,
    num_seeds,
    path,
    progress_for,
    run_sweep,
    tempfile,
):
    def small_sweep():
        folder = tempfile.TemporaryDirectory()
        atexit.register(folder.cleanup)
        made = Path(folder.name) / "sweep"
        with progress_for() as progress:
            run_sweep(find_recipe("2.5.1"), range(num_seeds), made, workers=1, progress=progress)
        return made

    saved = ex.runs.open(path or small_sweep())
    mo.stop(saved.kind != "sweep", mo.md(f"{saved.path} holds a {saved.kind}, not a sweep."))
    saved
    return (saved,)


@app.cell(hide_code=True)
def _(mo, saved):
    mo.md(f"""
    It is of recipe **{saved.recipe}**, over {len(saved.seeds)} seeds. The question: *{saved.spec.question}*
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## How far do the numbers spread?

    `saved.table()` has a row a seed. A single run shows one draw from each of these columns.
    """)
    return


@app.cell
def _(Frame, saved):
    seed_table = saved.table()
    numbers = [name for name in seed_table.columns if "." in name and "named_colors" not in name]
    spread = seed_table[numbers].agg(["median", "min", "max", "std"]).T
    widest = str(((spread["max"] - spread["min"]) / spread["median"].abs()).idxmax())
    Frame(spread, f"Over {len(seed_table)} seeds")
    return numbers, seed_table, spread, widest


@app.cell(hide_code=True)
def _(mo, number, spread, widest):
    mo.md(f"""
    The widest spread, relative to its median, is that of `{widest}`: from {number(spread["min"][widest])} to
    {number(spread["max"][widest])} around {number(spread["median"][widest])}. A number like that must not be quoted
    from one seed.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Which claims hold, and where?

    A claim is part of the recipe, with its threshold, from before the first seed was trained.
    """)
    return


@app.cell
def _(Frame, saved):
    claims = saved.claims
    least = claims.loc[claims["passed"].idxmin()]
    weakest = (
        f"The one that fails most often: *{least['claim']}*, in {least['seeds'] - least['passed']} of {least['seeds']}."
        if least["passed"] < least["seeds"]
        else "None of them fails in any seed; more seeds would say how rare a failure is."
    )
    Frame(claims[["claim", "passed", "seeds"]])
    return (weakest,)


@app.cell(hide_code=True)
def _(mo, saved, weakest):
    mo.md(f"""
    Every claim holds in **{int(saved.results["passed"].sum())} of {saved.results.sizes["seed"]} seeds**. {weakest}
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Colour by colour

    `saved.results` holds every number as labelled arrays over the seeds. Here, the error of each named colour under
    the first edit.
    """)
    return


@app.cell
def _(ex, figures, saved):
    condition = saved.spec.conditions[1]
    errors = saved.results["named_error"].sel(condition=condition, drop=True).dropna("seed")
    true_colors = ex.color.named_colors().sel(color=errors["named_color"].to_numpy())
    figures.seed_strip(
        errors.rename(named_color="color"),
        true_colors.to_numpy(),
        ~saved.results["passed"].sel(seed=errors["seed"]).to_numpy(),
        name="seeds",
        title=f"Named colours over seeds, {condition}",
        levels={"reference 1/3": 1 / 3},
    )
    return (condition,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Which seed is shown?

    A recipe may say how to choose: of the seeds that no other beats in every metric, the best by one of them. The
    rule is written before the sweep runs; the seeds that it passed over stay in the table.
    """)
    return


@app.cell
def _(figures, mo, np, saved, seed_table):
    selection = saved.spec.selection
    if selection is None:
        chosen_picture = mo.md("This recipe states no selection; a typical seed is shown.")
    else:
        across = next(name for name in (*selection.low, *selection.high) if name != selection.by)
        ranked = seed_table[[across, selection.by]].dropna()
        chosen_picture = figures.front(
            ranked[across].to_numpy(dtype=float),
            ranked[selection.by].to_numpy(dtype=float),
            np.isin(ranked.index, saved.sweep["front"]),
            seeds=ranked.index.to_numpy(),
            chosen=ranked.index.get_loc(saved.sweep["chosen"]),
            xlabel=across,
            ylabel=selection.by,
            name="front",
            title="The Pareto front",
        )
    chosen_picture
    return


@app.cell(hide_code=True)
def _(mo, saved):
    mo.md(f"""
    Seed **{saved.sweep["chosen"]}** is {saved.sweep["chosen_is"]}.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The best and the worst

    The chosen seed is the one that gets published. Look at the worst as well, for that is what another seed may
    give you.
    """)
    return


@app.cell
def _(Frame, condition, numbers, saved, seed_table):
    sides = [saved.sweep["best"], saved.sweep["worst"]]
    columns = [name for name in numbers if name.startswith(condition)] + [f"{condition}.named_colors.red"]
    Frame(seed_table.loc[sides, columns].T, f"Seed {sides[0]}, the best, and seed {sides[1]}, the worst")
    return (sides,)


@app.cell
def _(condition, figures, saved, sides):
    worst = saved.seeds[saved.sweep["worst"]]
    arrays = worst.results
    plain = {"line_h": "h", "line_s": "s", "line_v": "v"}
    figures.error_curves(
        arrays["line_error"].sel(condition=condition, drop=True).rename(plain),
        arrays["line_input"].rename(plain),
        name="worst",
        title=f"The worst seed, {sides[1]}: error, {condition}",
        levels={"red as a random colour: 1/3": 1 / 3},
    )
    return (worst,)


@app.cell(hide_code=True)
def _(mo, sides, worst):
    mo.md(f"""
    Each seed is opened like a run of its own, `saved.seeds[{sides[1]}]`, with its claims, its log, its arrays and
    its model: {sum(worst.claims["passed"])} of {len(worst.claims)} claims hold in this one. `excise report` makes a
    page of all this, and `excise index` one of every run in a folder.
    """)
    return


if __name__ == "__main__":
    app.run()
