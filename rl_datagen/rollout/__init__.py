"""Any policy on any task: planned episodes in, trajectories out, until enough have succeeded."""

from rl_datagen.core.imports import make_callable
from rl_datagen.rollout.episodes import Rollouts, run_policy
from rl_datagen.rollout.gather import count_attempts, describe_attempts, gather, gather_shard
from rl_datagen.rollout.patterns import vary
from rl_datagen.rollout.plans import (
    PlannedEpisode,
    held_back_indices,
    plan_attempt,
    plan_episode,
    plan_evaluation,
)
from rl_datagen.rollout.recoveries import recover
from rl_datagen.rollout.run import Observation, Policy, rollout

__all__ = [
    "Observation",
    "PlannedEpisode",
    "Policy",
    "Rollouts",
    "count_attempts",
    "describe_attempts",
    "gather",
    "gather_shard",
    "held_back_indices",
    "plan_attempt",
    "plan_episode",
    "plan_evaluation",
    "recover",
    "rollout",
    "run_policy",
    "vary",
]

make_callable(__name__, run_policy)
