"""Success of policies on shipped init states, and the paper's tables of it."""

from rl_datagen.evaluation.held_back import evaluate
from rl_datagen.evaluation.results import EvaluatedEpisode, Evaluation, summarise

__all__ = ["EvaluatedEpisode", "Evaluation", "evaluate", "summarise"]
