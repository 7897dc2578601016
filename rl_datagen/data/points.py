"""Points in the world from one camera's depth."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, UInt8, UInt16


@dataclass(frozen=True, eq=False)
class PointCloud:
    """What one camera sees, as points.

    Attributes:
        points: In the world, m.
        colours: RGB of each, if an image was given.
        ids: Which instance each is of, if a segmentation was given; see ``data.classes``.
    """

    points: Float64[np.ndarray, "n 3"]
    colours: UInt8[np.ndarray, "n 3"] | None = None
    ids: UInt16[np.ndarray, " n"] | None = None


def point_cloud(
    depth: Float[np.ndarray, "H W"],
    intrinsics: Float64[np.ndarray, "3 3"],
    extrinsics: Float64[np.ndarray, "4 4"],
    *,
    image: UInt8[np.ndarray, "H W 3"] | None = None,
    segmentation: UInt16[np.ndarray, "H W"] | None = None,
) -> PointCloud:
    """Returns a point for each pixel in which something is, row by row.

    Args:
        depth: Distance along the camera's z axis, m; 0: nothing.
        intrinsics: From points in the camera's frame to pixels, whose centres are whole.
        extrinsics: From the camera's frame to the world's, m.
        image: What colours the points.
        segmentation: What names them.
    """
    rows, columns = np.nonzero(depth)
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=1).astype(np.float64)
    rays = pixels @ np.linalg.inv(intrinsics).T  # to where z is 1
    seen = rays * depth[rows, columns, None].astype(np.float64)
    points = seen @ extrinsics[:3, :3].T + extrinsics[:3, 3]
    return PointCloud(
        points,
        None if image is None else image[rows, columns],
        None if segmentation is None else segmentation[rows, columns],
    )
