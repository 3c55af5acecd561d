from .conditions import evaluate, evaluating, latents_of, summarise

__all__ = ["evaluate", "evaluating", "latents_of", "summarise"]
