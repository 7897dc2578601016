"""The whole chain for one task: one human demonstration in, a verified dataset and a page out."""

from rl_datagen.quickstart.chain import quickstart, train
from rl_datagen.quickstart.run import Progress

__all__ = ["Progress", "quickstart", "train"]
