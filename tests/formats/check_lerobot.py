"""Loads an export with lerobot and compares every frame with the dataset it was made from.

Runs in an environment that has lerobot, and imports nothing of this package: v3.0 with lerobot 0.4,
v2.1 with lerobot 0.3, where openpi's names and types are expected.

Usage: check_lerobot.py EXPORT DATASET
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import stored
from lerobot.datasets.lerobot_dataset import LeRobotDataset

V30 = ("observation.images.image", "observation.images.image2", "observation.state", "action", 20)
OPENPI = ("image", "wrist_image", "state", "actions", 10)
MIN_PSNR = 33  # dB, of frames out of a video; images are lossless
QUANTILES = {"q01", "q10", "q50", "q90", "q99"}


def check(path, dataset):
    is_v30 = json.loads((path / "meta/info.json").read_text())["codebase_version"] == "v3.0"
    image, wrist, state, action, fps = V30 if is_v30 else OPENPI
    loaded = LeRobotDataset("local/check", root=path, video_backend="pyav")
    meta = loaded.meta
    assert (meta.fps, meta.robot_type) == (fps, "panda")
    features = {name: (f["dtype"], tuple(f["shape"])) for name, f in meta.features.items()}
    kind = "video" if meta.video_keys else "image"
    assert features[image] == features[wrist] == (kind, (256, 256, 3))
    assert (features[state], features[action]) == (("float32", (8,)), ("float32", (7,)))
    assert is_v30 or kind == "image"
    by_instruction = {}
    for episode in stored.read(dataset):
        by_instruction.setdefault(episode["instruction"], []).append(episode)
    worst, index = np.inf, 0
    actions, states = [], []
    for number in range(meta.total_episodes):
        instruction = loaded[index]["task"]
        episode = by_instruction[instruction].pop(0)
        actions.append(episode["action"])
        states.append(episode["proprio"])
        length = len(episode["action"])
        views = {image: stored.turned(episode["agentview"]), wrist: stored.turned(episode["wrist"])}
        for t in range(length):
            item = loaded[index]
            index += 1
            assert (item["task"], item["episode_index"].item()) == (instruction, number)
            assert item["frame_index"].item() == t
            assert abs(item["timestamp"].item() - t / fps) < 1e-4
            np.testing.assert_array_equal(item[state].numpy(), episode["proprio"][t])
            np.testing.assert_array_equal(item[action].numpy(), episode["action"][t])
            for key, frames in views.items():
                found = item[key].numpy().transpose(1, 2, 0) * 255
                if kind == "image":
                    np.testing.assert_array_equal(found.round().astype(np.uint8), frames[t])
                worst = min(worst, stored.psnr(found, frames[t]))
            check_maps(meta, item, episode, t)
    assert index == len(loaded) == meta.total_frames
    check_chunk(path, action, fps, actions[-1])
    assert not any(by_instruction.values())
    assert worst > MIN_PSNR, f"a frame differs by {worst:.1f} dB"
    for name, values in ((action, actions), (state, states)):
        values, found = np.concatenate(values), meta.stats[name]
        for key, expected in (("mean", values.mean(0)), ("std", values.std(0))):
            np.testing.assert_allclose(found[key], expected, rtol=1e-3, atol=1e-5)
        assert not is_v30 or set(found) >= QUANTILES
    if is_v30:
        expected = np.quantile(np.concatenate(actions), 0.99, axis=0)
        np.testing.assert_allclose(meta.stats[action]["q99"], expected, atol=1e-6)
    quality = "bit for bit" if kind == "image" else f"at {worst:.1f} dB or better"
    return f"{meta.total_episodes} episodes, {index} frames, {kind}s {quality}"


def check_maps(meta, item, episode, t):
    """Depth in mm and segmentation, of an export that has them."""
    for name, view in (("image", "agentview"), ("image2", "wrist")):
        key = f"observation.images.{name}"
        if f"{key}_depth" in meta.features:
            assert f"{key}_depth" in meta.depth_keys
            depth = stored.turned(episode[f"{view}_depth"])[t]
            np.testing.assert_array_equal(item[f"{key}_depth"][0].numpy(), depth)
            classes = stored.turned(episode[f"{view}_segmentation"])[t]
            np.testing.assert_array_equal(item[f"{key}_segmentation"][0].numpy(), classes)
            assert item[f"camera.{name}.intrinsics"].shape == (9,)


def check_chunk(path, action, fps, actions):
    """The chunk that a policy asks for at the last frames of the last episode."""
    times = {action: [step / fps for step in range(10)]}
    loaded = LeRobotDataset("local/check", root=path, video_backend="pyav", delta_timestamps=times)
    for t in (len(actions) - 11, len(actions) - 3):
        item = loaded[len(loaded) - len(actions) + t]
        rows = np.minimum(np.arange(t, t + 10), len(actions) - 1)
        np.testing.assert_array_equal(item[action].numpy(), actions[rows])
        assert item[f"{action}_is_pad"].tolist() == [t + k >= len(actions) for k in range(10)]


if __name__ == "__main__":
    message = check(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(f"lerobot {version('lerobot')} reads {sys.argv[1]}: {message}\n")
