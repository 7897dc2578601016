"""Records what a run tells its progress and its log, for the tests of the display.

    python tests/cli/record.py OUT.jsonl quickstart name=short ...

A line is ``[seconds since the begin, method of Progress or "log", its arguments]``.
"""

import json
import logging
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from rl_datagen import cli
from rl_datagen.cli.progress import show_progress


class Recorder(logging.Handler):
    """A ``Progress`` and a log handler that write down what they are told, and pass it on."""

    def __init__(self, path):
        super().__init__()
        self._file, self._begin, self._last = path.open("w"), time.monotonic(), None
        self.progress = None

    def write(self, method, *arguments):
        if (method, arguments) != self._last:
            self._last = method, arguments
            seconds = round(time.monotonic() - self._begin, 2)
            self._file.write(json.dumps([seconds, method, list(arguments)]) + "\n")
            self._file.flush()

    def emit(self, record):
        self.write("log", self.format(record))

    def __getattr__(self, method):
        def tell(*arguments):
            self.write(method, *arguments)
            getattr(self.progress, method)(*arguments)

        return tell


def main(path, *arguments):
    recorder = Recorder(Path(path))

    @contextmanager
    def recorded(*options, **more):
        with show_progress(*options, **more) as recorder.progress:
            yield recorder

    cli.show_progress = recorded
    recorder.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    set_up = cli.setup_logging

    def setup_logging():
        set_up()
        logging.getLogger("rl_datagen").addHandler(recorder)

    cli.setup_logging = setup_logging
    sys.argv = ["rl-datagen", *arguments]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
