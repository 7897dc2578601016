"""Datasets in other people's formats."""

from rl_datagen.export.lerobot import export_lerobot
from rl_datagen.export.libero_hdf5 import export_hdf5, write_hdf5
from rl_datagen.export.plan import Exported
from rl_datagen.export.rlds import export_rlds

__all__ = ["Exported", "export_hdf5", "export_lerobot", "export_rlds", "write_hdf5"]
