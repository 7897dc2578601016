"""One human demonstration per task, and many made from it."""

from rl_datagen.demos.amplify import AmplifiedPolicy, analyse
from rl_datagen.demos.human import HumanDemonstration, ReplayPolicy, load_human_demonstration

__all__ = [
    "AmplifiedPolicy",
    "HumanDemonstration",
    "ReplayPolicy",
    "analyse",
    "load_human_demonstration",
]
