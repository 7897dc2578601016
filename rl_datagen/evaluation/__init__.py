"""Success of policies on shipped init states, and the paper's tables of it."""

from rl_datagen.evaluation.held_back import evaluate, held_back_indices
from rl_datagen.evaluation.results import EvaluatedEpisode, Evaluation, summarise

__all__ = ["EvaluatedEpisode", "Evaluation", "evaluate", "held_back_indices", "summarise"]
