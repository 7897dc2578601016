"""Is this LIBERO the published one? Images and physics, compared with a reference."""

from rl_datagen.doctor.certificate import Fidelity, certify, describe_protocol
from rl_datagen.doctor.compare import TaskReport

__all__ = ["Fidelity", "TaskReport", "certify", "describe_protocol"]
