"""One human demonstration per task, and many made from it."""

from rl_datagen.demos.amplify import AmplifiedPolicy
from rl_datagen.demos.human import (
    HumanDemonstration,
    ReplayPolicy,
    load_human_demonstration,
    replay,
)
from rl_datagen.demos.segments import analyse

__all__ = [
    "AmplifiedPolicy",
    "HumanDemonstration",
    "ReplayPolicy",
    "analyse",
    "load_human_demonstration",
    "replay",
]
