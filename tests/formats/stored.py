"""What a dataset holds, read with pyarrow and Pillow alone, for the checks of its exports.

Runs in environments that have neither this package nor its code.
"""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image


def read(dataset):
    """Yields the successful episodes, task by task in the order of the folders' names."""
    for path in sorted(Path(dataset, "episodes").rglob("*.parquet")):
        images = {}
        folder = Path(dataset, "images", path.parent.relative_to(Path(dataset, "episodes")))
        for file in sorted(folder.glob(f"{path.stem}-*.parquet")):
            table = pq.read_table(file)
            for name in table["episode_id"].unique().to_pylist():
                images[name] = table.filter(np.array(table["episode_id"]) == name)
        for row in pq.read_table(path).to_pylist():
            if row["success"]:
                steps = pq.ParquetFile(Path(dataset, row["shard"])).read_row_group(row["row_group"])
                yield {
                    "id": row["episode_id"],
                    "instruction": row["instruction"],
                    **{
                        key: np.array(steps[key].to_pylist(), np.float32)
                        for key in ("action", "proprio", "joint_pos")
                    },
                    **_decoded(images[row["episode_id"]]),
                }


def turned(images):
    """LIBERO's frames turned by 180 degrees: LIBERO's have the last row first, ours are upright."""
    frames = images[:, ::-1]
    return frames[:, ::-1, ::-1]


def psnr(a, b):
    """Peak signal-to-noise ratio of two 8-bit images, dB."""
    error = np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)


def _decoded(table):
    """Images in 8 bits, depth and segmentation in 16."""
    names = [
        each for each in table.column_names if each.partition("_")[0] in ("agentview", "wrist")
    ]
    pictures = [name for name in names if not name.endswith("trinsics")]
    return {
        name: np.stack([_decode(data) for data in table[name].to_pylist()]) for name in pictures
    }


def _decode(data):
    image = Image.open(io.BytesIO(data))
    return np.array(image.convert("RGB") if image.mode == "RGB" else image)
