from .conditions import disagreement, evaluate, evaluating, latents_of, summarise
from .selection import choose, pareto_front
from .selectivity import selectivity

__all__ = [
    "choose",
    "disagreement",
    "evaluate",
    "evaluating",
    "latents_of",
    "pareto_front",
    "selectivity",
    "summarise",
]
