"""Datasets in other people's formats."""

from rl_datagen.export.libero_hdf5 import write_hdf5

__all__ = ["write_hdf5"]
