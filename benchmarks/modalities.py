"""Are depth, segmentation and camera right, and what do they cost?

What it shows, one subcommand each:

- ``geometry``: on ten tasks, drawn with a fixed seed over the 130 and LIBERO-PRO's, three moments
  of an episode and three cameras (LIBERO's two and a further one). MuJoCo's own ray caster, which
  draws nothing, is asked what lies along the ray of each pixel of a sample: how far the point of
  the stored depth is from there, and whether the segmentation names the same instance at the pixel
  or next to it. ``mj_ray`` misses some triangles of thin meshes, and finds backs of one-sided ones
  (a plant's leaves, a book's pages), which neither LIBERO's images nor these maps show. So a ray
  that ends more than 2 mm away, or at another instance, is intersected with every triangle of every
  mesh, one by one, and the first that faces the camera counts, or the first body without a mesh
  (``asked_again``: how often; ``missed``, ``backs``: how often that was nearer, or farther). Then
  the other way: corners of meshes that the ray caster finds in sight are projected, and the
  segmentation names their instance at that pixel or next to it.
- ``exact``: are both maps the same from the triangles that show and from all of them, and are the
  images before and after the same?
- ``speed``: time of depth and segmentation beside that of the images, taking turns in one process.
- ``figure``: the picture of docs/modalities.md: one moment, both cameras, all modalities, and four
  varied copies.

How to run it::

    python benchmarks/modalities.py geometry [--tasks libero_goal/0 ...]
    python benchmarks/modalities.py exact
    python benchmarks/modalities.py speed
    python benchmarks/modalities.py figure docs/media/modalities.png

Results to expect: the last line is ``RESULT`` and a JSON object.
"""

import argparse
import copy
import json
import statistics
import time
from pathlib import Path

from rl_datagen.config.views import CameraConfig
from rl_datagen.data import point_cloud
from rl_datagen.data.classes import segmentation_name
from rl_datagen.data.views import decode_depth, encode_depth
from rl_datagen.demos.human import load_human_demonstration
from rl_datagen.sim import load_scene, render
from rl_datagen.sim.render.labels import element_labels
from rl_datagen.sim.render.stock import SOLID
from rl_datagen.tasks import get_task, select_tasks
from rl_datagen.tasks.registry import known_tasks

import matplotlib.pyplot as plt
import mujoco
import numpy as np
from PIL import Image

SEED, NUM_TASKS, NUM_MOMENTS, NUM_PIXELS, SIZE = 0, 10, 3, 1200, 256
MESH = int(mujoco.mjtGeom.mjGEOM_MESH)
GROUPS = np.array([0, 1, 1, 1, 1, 1], np.uint8)  # what is drawn
OVERHEAD = CameraConfig(position=(0.5, 0.4, 1.9), look_at=(0, 0, 0.9))
SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("geometry", "exact", "speed"):
        commands.add_parser(name).add_argument("--tasks", nargs="+", default=drawn_tasks())
    commands.add_parser("figure").add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "figure":
        draw_figure(arguments.out)
        return
    runs = {"geometry": run_geometry, "exact": run_exact, "speed": run_speed}
    print("RESULT", json.dumps(runs[arguments.command](arguments.tasks)))


def drawn_tasks() -> list[str]:
    """One of each suite, one of LIBERO-PRO's perturbations of four suites, and one more."""
    random = np.random.default_rng(SEED)
    groups = [[task.id for task in select_tasks(suite)] for suite in SUITES]
    perturbed = [task.id for task in known_tasks() if task.base]
    groups += [[name for name in perturbed if name.startswith(f"{suite}_")] for suite in SUITES[:4]]
    groups.append(groups[SUITES.index("libero_90")])
    return [str(random.choice(group)) for group in groups]


def viewpoints() -> dict:
    own = {camera: render.Viewpoint(camera) for camera in render.CAMERAS}
    return own | {"overhead": render.placed(OVERHEAD)}


def moments(task: str, count: int = NUM_MOMENTS) -> tuple:
    """A scene and poses of an episode: the human's actions from one of the task's own states."""
    scene = load_scene(get_task(task))
    shown = scene.task.demonstrated_by or scene.task
    actions = load_human_demonstration(shown).actions
    simulator = scene.simulator()
    simulator.reset(scene.shipped_state(0), 10)
    poses = [simulator.pose()]
    for action in actions:
        simulator.step(action.astype(np.float64))
        poses.append(simulator.pose())
    return scene, [poses[i] for i in np.linspace(0, len(poses) - 1, count).astype(int)]


class Truth:
    """What MuJoCo's ray caster finds; a copy of the model has the fixtures where they are."""

    def __init__(self, scene) -> None:
        self.scene, self.model = scene, copy.copy(scene.model)
        self.data = mujoco.MjData(self.model)
        self.labels = element_labels(scene)
        rgba = self.model.geom_rgba.copy()
        material = self.model.geom_matid >= 0
        rgba[material] = self.model.mat_rgba[self.model.geom_matid[material]]
        self.solid = rgba[:, 3] >= SOLID

    def place(self, pose) -> None:
        self.model.body_pos[self.scene.fixture_ids] = pose.fixture_poses[:, :3]
        self.model.body_quat[self.scene.fixture_ids] = pose.fixture_poses[:, 3:]
        self.data.qpos[:] = pose.qpos
        mujoco.mj_kinematics(self.model, self.data)
        self._triangles = None

    def cast(self, eye: np.ndarray, direction: np.ndarray, among=None) -> tuple[float, int]:
        """Distance and geom of the first solid surface; see-through ones are passed."""
        among = self.solid if among is None else among
        gone, found = 0.0, np.zeros(1, np.int32)
        while True:
            start = eye + gone * direction
            ray = (self.model, self.data, start, direction, GROUPS, 1, -1, found)
            distance = mujoco.mj_ray(*ray)
            if distance < 0 or among[found[0]]:
                return (gone + distance, int(found[0])) if distance >= 0 else (np.inf, -1)
            gone += distance + 1e-5

    def cast_again(self, eye: np.ndarray, direction: np.ndarray) -> tuple[float, int]:
        """The same from triangles that face the eye (Moeller and Trumbore 1997) and primitives."""
        if self._triangles is None:
            self._triangles = self._all_triangles()
        corner, one, two, geoms = self._triangles
        normal = np.cross(direction, two)
        volume = (one * normal).sum(axis=1)
        facing = volume > 1e-14
        parts = (corner, one, two, geoms, normal, volume)
        corner, one, two, geoms, normal, volume = (each[facing] for each in parts)
        offset = eye - corner
        u = (offset * normal).sum(axis=1) / volume
        across = np.cross(offset, one)
        v = across @ direction / volume
        distance = (across * two).sum(axis=1) / volume
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)
        first = self.cast(eye, direction, self.solid & (self.model.geom_type != MESH))
        if not hit.any():
            return first
        nearest = np.flatnonzero(hit)[distance[hit].argmin()]
        return min(first, (float(distance[nearest]), int(geoms[nearest])))

    def _all_triangles(self) -> tuple[np.ndarray, ...]:
        model, parts, owners = self.model, [], []
        for geom in np.flatnonzero((model.geom_type == MESH) & (model.geom_group > 0) & self.solid):
            mesh = model.geom_dataid[geom]
            first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
            vertices = model.mesh_vert[first : first + count].astype(np.float64)
            world = vertices @ self.data.geom_xmat[geom].reshape(3, 3).T + self.data.geom_xpos[geom]
            first, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
            parts.append(world[model.mesh_face[first : first + count]])
            owners.append(np.full(count, geom))
        corners = np.concatenate(parts)
        first = corners[:, 0]
        return first, corners[:, 1] - first, corners[:, 2] - first, np.concatenate(owners)


def neighbours(values: np.ndarray) -> np.ndarray:
    """[H, W, 9]: each pixel's, and those around it."""
    padded = np.pad(values, 1, mode="edge")
    height, width = values.shape
    return np.stack(
        [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=-1
    )


def check_pixels(truth: Truth, seen, random: np.random.Generator) -> dict[str, list]:
    """Casts the rays of some pixels."""
    stored = decode_depth(encode_depth(seen.depth))
    around, eye = neighbours(seen.segmentation), seen.extrinsics[:3, 3]
    depths = neighbours(seen.depth)
    inverse = np.linalg.inv(seen.intrinsics)
    found = {
        name: [] for name in ("stored", "raw", "inside", "same", "near", "again", "missed", "backs")
    }
    for pixel in random.choice(seen.depth.size, NUM_PIXELS, replace=False):
        row, column = divmod(int(pixel), seen.depth.shape[1])
        ray = seen.extrinsics[:3, :3] @ inverse @ [column, row, 1]
        length = np.linalg.norm(ray)
        distance, geom = truth.cast(eye, ray / length)
        label, here = int(truth.labels[geom]), int(seen.segmentation[row, column])
        away = abs(stored[row, column] * length - distance) if label else 0
        if away > 0.002 or label != here:
            before = distance
            distance, geom = truth.cast_again(eye, ray / length)
            label = int(truth.labels[geom])
            found["again"].append(True)
            found["missed"].append(distance < before - 1e-6)
            found["backs"].append(distance > before + 1e-6)
        found["same"].append(label == here)
        found["near"].append(bool(label in around[row, column]))
        if label == here and label:
            spread = np.ptp(depths[row, column])
            one = bool((around[row, column] == label).all())
            found["inside"].append(one and bool(spread < 0.01 * length))
            found["stored"].append(abs(stored[row, column] * length - distance))
            found["raw"].append(abs(float(seen.depth[row, column]) * length - distance))
    return found


def check_corners(truth: Truth, seen, random: np.random.Generator) -> list[bool]:
    """Projects corners of meshes that are in sight; is the pixel, or one beside it, theirs?"""
    model, eye = truth.model, seen.extrinsics[:3, 3]
    height, width = seen.segmentation.shape
    around = neighbours(seen.segmentation)
    hits = []
    meshes = np.flatnonzero((model.geom_type == MESH) & (model.geom_group > 0) & truth.solid)
    for geom in meshes:
        mesh = model.geom_dataid[geom]
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        vertices = model.mesh_vert[first : first + count]
        vertices = vertices[random.choice(count, min(count, 20), replace=False)]
        world = vertices @ truth.data.geom_xmat[geom].reshape(3, 3).T + truth.data.geom_xpos[geom]
        in_camera = (world - eye) @ seen.extrinsics[:3, :3]
        for point, (x, y, z) in zip(world, in_camera, strict=True):
            if z < 0.02:
                continue
            column, row, _ = seen.intrinsics @ [x / z, y / z, 1]
            if not (0 <= round(row) < height and 0 <= round(column) < width):
                continue
            length = np.linalg.norm(point - eye)
            distance, hit = truth.cast(eye, (point - eye) / length)
            if hit == geom and abs(distance - length) < 1e-4:
                hits.append(bool(truth.labels[geom] in around[round(row), round(column)]))
    return hits


def run_geometry(tasks: list[str]) -> dict:
    random, total, corners, names = np.random.default_rng(SEED), {}, [], {}
    for task in tasks:
        scene, poses = moments(task)
        truth, mine = Truth(scene), {}
        for pose in poses:
            truth.place(pose)
            for seen in render.measure(scene, viewpoints(), SIZE, SIZE, pose).values():
                for name, values in check_pixels(truth, seen, random).items():
                    mine.setdefault(name, []).extend(values)
                corners += check_corners(truth, seen, random)
                for value in np.unique(seen.segmentation).tolist():
                    names.setdefault(segmentation_name(value), set()).add(value)
        for name, values in mine.items():
            total.setdefault(name, []).extend(values)
        print(task, summary(mine), flush=True)
    return {
        "tasks": tasks,
        **summary(total),
        "corners": len(corners),
        "corners_within_one_pixel": sum(corners),
        "names_seen": len(names),
        "names_with_one_id": sum(len(ids) == 1 for ids in names.values()),
    }


def summary(found: dict[str, list]) -> dict:
    inside = np.array(found["inside"])
    millimetres = {name: np.array(found[name]) * 1000 for name in ("stored", "raw")}
    result = {
        "pixels": len(found["same"]),
        "same_instance": sum(found["same"]),
        "instance_within_one_pixel": sum(found["near"]),
        "measured": len(found["raw"]),
        "inside": int(inside.sum()),
        "asked_again": len(found["again"]),
        "missed": sum(found["missed"]),
        "backs": sum(found["backs"]),
    }
    for name, values in millimetres.items():
        quantiles = np.quantile(values, (0.5, 0.99, 0.999))
        result[f"{name}_mm_q50_q99_q999"] = [round(float(each), 4) for each in quantiles]
        result[f"{name}_mm_max"] = round(float(values.max()), 4)
        result[f"{name}_within_2mm"] = int((values <= 2).sum())
        result[f"{name}_mm_inside_max"] = round(float(values[inside].max()), 4)
        result[f"{name}_inside_within_2mm"] = int((values[inside] <= 2).sum())
    return result


def run_exact(tasks: list[str]) -> dict:
    maps = same = images = kept = 0
    for task in tasks:
        _, poses = moments(task)
        found = {}
        for backend in ("culled", "stock"):
            scene = load_scene(get_task(task), render_backend=backend)
            for number, pose in enumerate(poses):
                before = render.render_views(scene, viewpoints(), SIZE, SIZE, pose)
                found[backend, number] = render.measure(scene, viewpoints(), SIZE, SIZE, pose)
                after = render.render_views(scene, viewpoints(), SIZE, SIZE, pose)
                images += len(before)
                kept += sum(np.array_equal(before[name], after[name]) for name in before)
        for number in range(len(poses)):
            for name, fast in found["culled", number].items():
                plain = found["stock", number][name]
                for what in ("depth", "segmentation"):
                    maps += 1
                    same += np.array_equal(getattr(fast, what), getattr(plain, what))
        print(task, maps, same, images, kept, flush=True)
    return {"maps": maps, "identical": same, "images": images, "unchanged": kept}


def run_speed(tasks: list[str]) -> dict:
    own = {camera: render.Viewpoint(camera) for camera in render.CAMERAS}
    ratios = {}
    for task in tasks:
        scene, poses = moments(task, 12)
        times = {"images": [], "maps": []}
        for pose in poses:
            for name, function in (("images", render.render_views), ("maps", render.measure)):
                begin = time.perf_counter()
                function(scene, own, SIZE, SIZE, pose)
                times[name].append(time.perf_counter() - begin)
        images, maps = (statistics.median(times[name][2:]) for name in ("images", "maps"))
        ratios[task] = round(maps / images, 2)
        print(task, f"images {images * 1000:.0f} ms, maps {maps * 1000:.0f} ms", flush=True)
    return {"maps_per_images": ratios, "median": statistics.median(ratios.values())}


def draw_figure(out: Path) -> None:
    scene, poses = moments("libero_goal/8", 3)
    pose, cameras = poses[1], {camera: render.Viewpoint(camera) for camera in render.CAMERAS}
    images = render.render_views(scene, cameras, SIZE, SIZE, pose)
    maps = render.measure(scene, cameras, SIZE, SIZE, pose)
    figure = plt.figure(figsize=(10, 8), layout="constrained")
    for row, camera in enumerate(cameras):
        seen = maps[camera]
        draw_row(figure, row, camera, images[camera], seen)
    for column, axes in enumerate(
        (["light"], ["texture", "background"], ["camera", "fov"], ["noise"])
    ):
        variation = render.draw_variation(scene, axes, cameras, SEED, "figure", 1)
        moved = {"agentview": variation.view("agentview", cameras["agentview"])}
        image = render.render_views(scene, moved, SIZE, SIZE, pose, variation)["agentview"]
        axis = figure.add_subplot(3, 4, 9 + column)
        axis.imshow(variation.add_noise(image[None], "agentview")[0])
        axis.set_title(f"--vary {','.join(axes)}", fontsize=9)
        axis.axis("off")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=90)
    with Image.open(out) as image:  # few colours do, and weigh a third
        image.convert("RGB").quantize(200, dither=Image.Dither.NONE).save(out, optimize=True)


def draw_row(figure, row: int, camera: str, image: np.ndarray, seen) -> None:
    axes = [figure.add_subplot(3, 4, 4 * row + column) for column in (1, 2, 3)]
    axes[0].imshow(image)
    axes[0].set_title(camera, fontsize=9)
    shown = axes[1].imshow(np.where(seen.depth > 0, seen.depth, np.nan), cmap="viridis_r")
    bar = figure.colorbar(shown, ax=axes[1], location="bottom", shrink=0.8, pad=0.02)
    bar.ax.tick_params(labelsize=6)
    axes[1].set_title("depth, m", fontsize=9)
    values, places = np.unique(seen.segmentation, return_inverse=True)
    axes[2].imshow(places.reshape(seen.segmentation.shape), cmap="tab20", interpolation="nearest")
    for value in values:
        rows, columns = np.nonzero(seen.segmentation == value)
        if len(rows) > 500:
            middle = np.argsort(columns)[len(columns) // 2]
            row_text, column_text = np.median(rows[columns == columns[middle]]), columns[middle]
            style = {"fontsize": 5.5, "ha": "center", "va": "center", "color": "black"}
            box = {"facecolor": "white", "alpha": 0.7, "pad": 0.8, "linewidth": 0}
            axes[2].text(column_text, row_text, segmentation_name(value), bbox=box, **style)
    axes[2].set_title("segmentation", fontsize=9)
    for axis in axes:
        axis.axis("off")
    cloud = point_cloud(seen.depth, seen.intrinsics, seen.extrinsics, image=image)
    kept = np.linalg.norm(cloud.points - [0, 0, 1], axis=1) < 0.9
    axis = figure.add_subplot(3, 4, 4 * row + 4, projection="3d")
    axis.scatter(*cloud.points[kept].T, c=cloud.colours[kept] / 255, s=0.15, linewidths=0)
    axis.view_init(35, -60)
    axis.set_aspect("equal")
    axis.set_box_aspect(None, zoom=1.25)
    axis.set_title("point cloud, world frame (m)", fontsize=9)
    axis.tick_params(labelsize=5, pad=-3)


if __name__ == "__main__":
    main()
