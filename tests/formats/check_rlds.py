"""Reads an RLDS export with tensorflow-datasets and compares it with the dataset it was made from.

Runs in an environment that has tensorflow-datasets, and imports nothing of this package.

Usage: check_rlds.py EXPORT DATASET
"""

import sys
from pathlib import Path

import numpy as np
import stored
import tensorflow_datasets as tfds

MIN_PSNR = 33  # dB


def check(path, dataset):
    builder = tfds.builder(path.name, data_dir=path.parent)  # as OpenVLA asks for it
    split = builder.as_dataset(split="train", shuffle_files=False)
    assert builder.info.splits["train"].num_examples == len(split)
    expected = {episode["id"]: episode for episode in stored.read(dataset)}
    worst, frames = np.inf, 0
    for found in split:
        episode = expected.pop(found["episode_metadata"]["file_path"].numpy().decode())
        steps = list(found["steps"].as_numpy_iterator())
        frames += len(steps)
        assert len(steps) == len(episode["action"])
        for name in ("is_first", "is_last", "is_terminal"):
            at = 0 if name == "is_first" else len(steps) - 1
            assert [bool(step[name]) for step in steps] == [t == at for t in range(len(steps))]
        assert [step["reward"] for step in steps] == [0] * (len(steps) - 1) + [1]
        assert all(step["discount"] == 1 for step in steps)
        instruction = episode["instruction"].encode()
        assert all(step["language_instruction"] == instruction for step in steps)
        for t, step in enumerate(steps):
            seen = step["observation"]
            np.testing.assert_array_equal(step["action"], episode["action"][t])
            np.testing.assert_array_equal(seen["state"], episode["proprio"][t])
            np.testing.assert_array_equal(seen["joint_state"], episode["joint_pos"][t])
            for key, view in (("image", "agentview"), ("wrist_image", "wrist")):
                image = stored.turned(episode[view][t : t + 1])[0]
                worst = min(worst, stored.psnr(seen[key], image))
                for modality in ("depth", "segmentation"):
                    assert seen[f"{key}_{modality}"].dtype == np.uint16
                    values = episode[f"{view}_{modality}"][t, :, ::-1]
                    np.testing.assert_array_equal(seen[f"{key}_{modality}"][..., 0], values)
    assert not expected
    assert worst > MIN_PSNR, f"a frame differs by {worst:.1f} dB"
    return f"{len(split)} episodes, {frames} steps, images at {worst:.1f} dB or better, maps exact"


if __name__ == "__main__":
    message = check(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(f"tensorflow-datasets {tfds.__version__} reads {sys.argv[1]}: {message}\n")
