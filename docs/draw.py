"""Draw the README's picture again: the reconstruction error after the cut, for a light and a dark page.

python docs/draw.py
"""

import tempfile
from pathlib import Path

from PIL import Image

from excise.experiments.catalogue import delete_warmth
from excise.experiments.pictures import pictures_of_run
from excise.experiments.pipeline import run_recipe
from excise.record import open_run

PICTURE = "error-ablated"


def main() -> None:
    """Run the recipe with seed 0 and keep one of its pictures, with few enough colours to be small."""
    recipe = delete_warmth()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        run_recipe(recipe, 0, path)
        (picture,) = (found for found in pictures_of_run(recipe, open_run(path)) if found.name == PICTURE)
        for drawn in picture.save(Path(folder)):
            kept = Path(__file__).parent / drawn.name
            Image.open(drawn).convert("RGB").quantize(256).save(kept, optimize=True)
            print(kept.name, kept.stat().st_size, "bytes")
    print(picture.alt)


if __name__ == "__main__":
    main()
