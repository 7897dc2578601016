import threading

from rl_datagen.runtime.background import every_second


def test_looks_until_the_end_and_not_after_it():
    looked = threading.Event()
    with every_second(looked.set):
        assert looked.wait(60)
    assert [thread.name for thread in threading.enumerate() if "follow" in thread.name] == []
