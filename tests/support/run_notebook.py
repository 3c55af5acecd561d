"""Runs a notebook as a script, and prints as JSON what some expressions of its definitions are afterwards.

python run_notebook.py NOTEBOOK '{"name": "expression"}' [what the notebook is given]
"""

import json
import runpy
import sys
from collections.abc import Mapping
from typing import Any

import marimo


def main() -> None:
    notebook, asked, *arguments = sys.argv[1:]
    defined: dict[str, Any] = {}
    run = marimo.App.run

    def keeping(app: marimo.App, *given: Any, **named: Any) -> tuple[Any, Mapping[str, Any]]:
        outputs, definitions = run(app, *given, **named)
        defined.update(definitions)
        return outputs, definitions

    setattr(marimo.App, "run", keeping)  # noqa: B010 - to a type checker a method cannot be exchanged
    sys.argv = [notebook, *arguments]
    runpy.run_path(notebook, run_name="__main__")
    print(json.dumps({name: eval(expression, defined) for name, expression in json.loads(asked).items()}))


if __name__ == "__main__":
    main()
