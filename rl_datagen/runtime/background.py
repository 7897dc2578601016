"""Something to look at now and then, while this process waits for a library."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def every_second(look: Callable[[], object]) -> Generator[None]:
    """Calls a function about every second, in a thread; at the end it has returned.

    Args:
        look: What is called.
    """
    over = threading.Event()

    def follow() -> None:
        while not over.wait(1):
            look()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
