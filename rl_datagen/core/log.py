"""Logging, set up once per process: one line per event."""

import logging
import sys


def setup_logging(level: int = logging.INFO) -> None:
    """Sends this package's log lines to standard error and quiets chatty libraries."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("rl_datagen")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    for name in ("robosuite_logs", "ray.rllib", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
