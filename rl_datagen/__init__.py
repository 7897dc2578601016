"""Turn one robot demonstration per task into large, smooth datasets for VLA training."""

import os

__version__ = "0.1.0"

# Read by OpenMP when torch is first imported. Its threads otherwise spin while they wait, which
# costs a learner most of its time where simulators keep the same cores busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
