"""Is this LIBERO the published one? Images and physics, compared with a reference."""

from rl_datagen.fidelity.compare import TaskReport
from rl_datagen.fidelity.report import Fidelity, certify, describe_protocol

__all__ = ["Fidelity", "TaskReport", "certify", "describe_protocol"]
