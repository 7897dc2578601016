"""MP4s of whole episodes, the same bytes on every machine."""

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from rl_datagen.core.storage import atomic_path

# A key frame every second frame, so that any frame is read quickly. One thread: the encoder's
# output depends on how many there are. And one way for all processors: x264's for AVX-512 gave
# other bytes for 1 in 500 videos whose width is no multiple of 16.
_OPTIONS = {
    "crf": "18",
    "g": "2",
    "bf": "0",
    "preset": "veryfast",
    "threads": "1",
    "x264-params": "cpu-independent=1",
}


class Video:
    """An MP4 that grows episode by episode.

    Args:
        container: PyAV's, open for writing.
        fps: Frames per second.
    """

    def __init__(self, container: Any, fps: int) -> None:
        self._container, self._fps = container, fps
        self._stream: Any = None
        self._count = 0

    def add(self, images: UInt8[np.ndarray, "T H W 3"]) -> None:
        """Appends frames."""
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=Fraction(self._fps))
            self._stream.pix_fmt = "yuv420p"
            self._stream.height, self._stream.width = images.shape[1:3]
            self._stream.options = _OPTIONS
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = self._count
            frame.time_base = Fraction(1, self._fps)
            self._container.mux(self._stream.encode(frame))
            self._count += 1

    def end(self) -> None:
        """Writes the frames that the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())


@contextmanager
def open_video(path: Path, fps: int) -> Generator[Video]:
    """Yields an MP4 that is whole or absent."""
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = Video(container, fps)
        yield video
        video.end()
