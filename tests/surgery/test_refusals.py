"""Every error text of surgery, kept word for word in `refusals.txt`.

`EXCISE_WRITE_SNAPSHOTS=1 pytest tests/surgery/test_refusals.py` writes the file anew, to be read before it is kept.
"""

import os
import re
from pathlib import Path

import pytest
import torch

from excise.errors import ExciseError

from .wrong_use import CASES

SNAPSHOT = Path(__file__).with_name("refusals.txt")
WRITES = bool(os.environ.get("EXCISE_WRITE_SNAPSHOTS"))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def stored() -> dict[str, str]:
    """The texts by case; each is a heading in brackets, and a paragraph."""
    if not SNAPSHOT.exists():
        return {}
    parts = re.split(r"^\[(.+)\]\n", SNAPSHOT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def told(name: str, folder: Path) -> str:
    """The type and the text of an error, without what differs from machine to machine and from torch to torch."""
    with pytest.raises(ExciseError) as caught:
        CASES[name](folder)
    text = str(caught.value).replace(str(folder), "FOLDER")
    text = re.sub(r"[^\s(]*/(\w+\.py), line \d+", r"\1, line N", text)
    text = re.sub(
        r"(\b(?!\w*Excise)\w+Error): .*?(?= \(wrong_models.py|\): it is built|\), and an edit|\. Give them as|$)",
        r"\1: ...",
        text,
    )
    text = re.sub(r"excise( \(| )\d[\w.]*\w", r"excise\1VERSION", text)
    return f"{caught.type.__name__}: {text}"


@pytest.mark.parametrize("name", CASES)
def test_an_error_says_what_came_and_what_to_do(name: str, tmp_path: Path):
    text = told(name, tmp_path)
    if WRITES:
        kept = stored() | {name: text}
        SNAPSHOT.write_text(
            "\n".join(f"[{key}]\n{kept[key]}\n" for key in CASES if key in kept), encoding="utf-8"
        )
    assert text == stored().get(name)


def test_every_kept_text_is_of_a_case():
    assert list(stored()) == list(CASES)
