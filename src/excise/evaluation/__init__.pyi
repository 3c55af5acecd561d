from .conditions import disagreement, evaluate, evaluating, latents_of, summarise

__all__ = ["disagreement", "evaluate", "evaluating", "latents_of", "summarise"]
