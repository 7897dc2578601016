"""A policy server in a process of its own, written from openpi's protocol and not from our client.

``python policy_server.py FOLDER [--chunk 10] [--fail] [--die-after 4] ...`` prints its port. It
opens the gripper, and writes each observation it gets to ``FOLDER/<number>.npz``.
"""

import argparse
import itertools
import os
import sys
from pathlib import Path

import msgpack
import numpy as np
from websockets.sync.server import serve


def decode(value):
    if b"__ndarray__" in value:
        return np.ndarray(value[b"shape"], np.dtype(value[b"dtype"]), value[b"data"])
    return value


def encode(array):
    return {
        b"__ndarray__": True,
        b"data": array.tobytes(),
        b"dtype": array.dtype.str,
        b"shape": array.shape,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunk", type=int, default=10)
    parser.add_argument("--fail", action="store_true")
    parser.add_argument("--close", action="store_true", help="before the first message")
    parser.add_argument("--key", default="actions")
    parser.add_argument("--bare", action="store_true", help="the array alone, not in a map")
    parser.add_argument("--die-after", type=int)
    arguments = parser.parse_args()
    numbers = itertools.count()

    def handle(socket):
        if arguments.close:
            return
        socket.send(msgpack.packb({"robot": "panda"}))
        for message in socket:
            if arguments.fail:
                socket.send("Traceback (most recent call last):\nRuntimeError: out of memory")
                return
            observation = msgpack.unpackb(message, object_hook=decode)
            number = next(numbers)
            if number == arguments.die_after:
                os._exit(9)
            np.savez(arguments.folder / f"{number}.npz", **observation)
            actions = np.zeros((arguments.chunk, 7))
            actions[:, 6] = -1
            answer = {arguments.key: actions, "server_timing": {"infer_ms": 1.0}}
            answer = actions if arguments.bare else answer
            socket.send(msgpack.packb(answer, default=encode))

    with serve(handle, "127.0.0.1", 0, compression=None, max_size=None) as server:
        sys.stdout.write(f"{server.socket.getsockname()[1]}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
