"""A policy server that speaks openpi's websocket protocol, as a policy.

The protocol (openpi, Apache-2.0: ``websocket_policy_server.py``, ``websocket_client_policy.py`` and
``msgpack_numpy.py``): the server begins with a message of its own choice; then each message to it
is an observation and each answer has ``actions`` [Ta, 7]; a text message is the traceback of an
error. Messages are msgpack; an array is a map of ``__ndarray__``, ``data``, ``dtype``, ``shape``.
Observations are those of openpi's LIBERO example, ``examples/libero/main.py``.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import msgpack
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from rl_datagen.config.evaluation import ServerConfig
from rl_datagen.core.errors import UserError, first_line, shown
from rl_datagen.core.paths import without_credentials
from rl_datagen.data.schema import CAMERAS
from rl_datagen.export.orientation import mirrored
from rl_datagen.rollout import Observation
from rl_datagen.sim import Simulator

_NUMBERS = "biuf"
"""Kinds of arrays that may cross the wire; objects never do."""

_NO_ANSWER = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, MemoryError)
"""What decoding and looking at an answer of any content may raise."""


class RemotePolicyError(UserError):
    """The policy server cannot be reached, went away, or gave an answer that is of no use."""


def pack(value: Any) -> bytes:
    """Returns a value, which may have arrays inside, as a message."""
    message = msgpack.packb(value, default=_encode)
    assert message is not None
    return message


def unpack(message: bytes) -> Any:
    """Returns what a message says.

    Raises:
        ValueError: It is damaged, or an array holds something other than numbers.
    """
    return msgpack.unpackb(message, object_hook=_decode)


def _encode(value: Any) -> dict[bytes, Any]:
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in _NUMBERS:
        raise TypeError(f"{type(value).__name__} cannot be sent to a policy server")
    if isinstance(value, np.ndarray):
        content = {b"__ndarray__": True, b"data": value.tobytes(), b"shape": value.shape}
    else:
        content = {b"__npgeneric__": True, b"data": value.item()}
    return {**content, b"dtype": value.dtype.str}


def _decode(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" not in value and b"__npgeneric__" not in value:
        return value
    dtype = np.dtype(value[b"dtype"])
    if dtype.kind not in _NUMBERS:
        raise ValueError(f"an array of {dtype} is not a message of a policy server")
    if b"__npgeneric__" in value:
        return dtype.type(value[b"data"])
    return np.frombuffer(value[b"data"], dtype).reshape(value[b"shape"])


class RemotePolicy:
    """Sends observations to a policy server, one after the other, and executes its answers.

    The server draws its own randomness: an episode's seed does not reach it.

    Args:
        url: ``ws://host:port``.
        settings: Images, executed actions, patience.

    Attributes:
        action_steps: Actions executed of each answer.
        image_size: Height and width at which cameras are rendered, as the training data was.
        metadata: What the server said of itself.

    Raises:
        RemotePolicyError: Nothing answers there.
    """

    def __init__(self, url: str, settings: ServerConfig) -> None:
        self._url, self._settings = without_credentials(url), settings  # for messages
        self._instructions: dict[int, str] = {}
        self.action_steps, self.image_size = settings.action_steps, settings.render_size
        try:
            self._connection = _Connection(url, settings.timeout_s)
            self.metadata: Any = self._hello()
        except (OSError, EOFError, *_NO_ANSWER) as error:
            raise RemotePolicyError(
                f"No policy server answers at {self._url}: {_said(error)}. Start it (openpi: `uv "
                "run scripts/serve_policy.py --env LIBERO`), or correct the address."
            ) from error

    def start(self, episode: int, simulator: Simulator, seed: int) -> None:
        """Begins an episode."""
        self._instructions[episode] = simulator.scene.task.instruction

    def act(self, observation: Observation, episodes: Sequence[int]) -> Float[np.ndarray, "N Ts 7"]:
        """Returns the actions to execute next.

        Args:
            observation: ``agentview`` and ``wrist`` (uint8 [N, H, W, 3], upright) and ``proprio``.
            episodes: The episode each row belongs to.

        Raises:
            RemotePolicyError: The server went away, failed, or predicts too few actions.
        """
        images = [_as_sent(observation[name], self._settings.image_size) for name in CAMERAS]
        rows = zip(*images, observation["proprio"], episodes, strict=True)
        return np.stack(
            [
                self._infer(
                    {
                        "observation/image": agentview,
                        "observation/wrist_image": wrist,
                        "observation/state": proprio,
                        "prompt": self._instructions[episode],
                    }
                )
                for agentview, wrist, proprio, episode in rows
            ]
        )

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _hello(self) -> Any:
        try:
            return self._receive()
        except BaseException:
            self.close()
            raise

    def _infer(self, observation: dict[str, Any]) -> Float[np.ndarray, "Ts 7"]:
        try:
            self._connection.send(pack(observation))
            actions = _actions(self._receive())
        except (OSError, EOFError, TimeoutError) as error:
            raise RemotePolicyError(
                f"The policy server at {self._url} went away: {_said(error)}."
            ) from error
        except _NO_ANSWER as error:
            raise RemotePolicyError(
                f"The policy server at {self._url} gave an answer without usable actions: "
                f"{_said(error)}."
            ) from error
        if actions.ndim != 2 or actions.shape[1] != 7 or len(actions) < self.action_steps:
            raise RemotePolicyError(
                f"The policy server at {self._url} predicts actions of shape {actions.shape}, and "
                f"{self.action_steps} x 7 are to be executed: set server.action_steps to at most "
                "what it predicts, and serve a policy for LIBERO."
            )
        return actions[: self.action_steps]

    def _receive(self) -> Any:
        """Returns the next message; a text is an error of the server's."""
        message = self._connection.recv(timeout=self._settings.timeout_s)
        if isinstance(message, str):
            last = message.strip().splitlines()[-1:] or ["an empty text"]
            raise ValueError(f"the server failed with {last[0]}")
        return unpack(message)


def _actions(answer: Any) -> Float[np.ndarray, "..."]:
    if not isinstance(answer, dict):
        raise ValueError(f"it is {shown(answer)}, and a map with 'actions' [steps, 7] is due")
    if "actions" not in answer:
        sent = ", ".join(f"{shown(key, 40)} {list(np.shape(answer[key]))}" for key in answer)
        raise ValueError(f"it has {shown(sent, 300) or 'nothing'}, and 'actions' [steps, 7] is due")
    return np.asarray(answer["actions"], np.float32)


def _said(error: Exception) -> str:
    """Returns an error's first line, which may quote the address."""
    return without_credentials(first_line(error))


class _Connection:
    """websockets' connection, whose loss is an ``EOFError``."""

    def __init__(self, url: str, timeout_s: float) -> None:
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
        from websockets.sync.client import connect

        self._closed, self._stack = ConnectionClosed, ExitStack()
        try:
            # A server that is compiling its model answers no pings.
            self._socket = self._stack.enter_context(
                connect(
                    url, compression=None, max_size=None, ping_interval=None, open_timeout=timeout_s
                )
            )
        except (InvalidHandshake, InvalidURI) as error:
            raise OSError(first_line(error)) from error

    def send(self, message: bytes) -> None:
        """Sends a message."""
        try:
            self._socket.send(message)
        except self._closed as error:
            raise EOFError(first_line(error)) from error

    def recv(self, timeout: float) -> str | bytes:
        """Returns the next message."""
        try:
            return self._socket.recv(timeout=timeout)
        except self._closed as error:
            raise EOFError(f"it closed the connection ({first_line(error)})") from error

    def close(self) -> None:
        """Says goodbye."""
        self._stack.close()


def _as_sent(images: UInt8[np.ndarray, "N H W 3"], size: int) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Returns LIBERO's frames turned by 180 degrees, in openpi's size.

    openpi pads what is not square; these are.
    """
    turned = np.ascontiguousarray(mirrored(images))
    if images.shape[1] == size:
        return list(turned)
    resample = Image.Resampling.BILINEAR
    return [np.asarray(Image.fromarray(image).resize((size, size), resample)) for image in turned]
