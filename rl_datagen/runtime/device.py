"""Where PyTorch computes."""

import torch

from rl_datagen.core.errors import MachineError


def torch_device(num_gpus: float, setting: str) -> str:
    """Returns the device of a process that was given this many GPUs.

    Args:
        num_gpus: Number or share of GPUs.
        setting: Name of the setting that says so.

    Returns:
        ``"cuda"`` or ``"cpu"``.

    Raises:
        MachineError: A GPU is asked for and PyTorch finds none.
    """
    if not num_gpus:
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    raise MachineError(
        f"{setting}={num_gpus}, but PyTorch finds no GPU on this machine. Set {setting}=0 to "
        "compute on the CPU, or run this where there is one."
    )
