"""Turn one robot demonstration per task into large, smooth datasets for VLA training."""

__version__ = "0.1.0"
