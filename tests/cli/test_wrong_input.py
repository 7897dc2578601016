"""docs/lab-notes/wrong-input.md has what wrong inputs print; ``UPDATE_SNAPSHOTS=1`` renews it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/lab-notes/wrong-input.md"
HEAD = """# Wrong inputs, and what they print

Real output, in an empty folder; all exit with code 2 and write nothing.
`tests/cli/test_wrong_input.py` compares this page with what the program prints, and renews it with
`UPDATE_SNAPSHOTS=1`.
"""
WRONG = (
    "quickstart task=libero_objct/0",
    "quickstart algo.lrr=1e-4",
    "quickstart algo.num_iterations=many",
    "quickstart policy.action_steps=9",
    "train policy.kind=gausian",
    "train algo.mode=stream",
    "train expert_stat",
    "train config/quickstart.yaml",
    "train --frehs",
    "train expert_pixel ablation/gaussian",
    "train expert_pixel expert_state",
    "train ablation/denoising_steps_10 ablation/gaussian",
    "vla train vla/pi0 vla/smolvla datasets=mine",
    "collect --task libero_goal",
    "collect num_episodes=50",
    "collect source=amplified --patterns 3",
    "collect experts=mine --patterns 0",
    "collect experts=mine --from recovered --patterns 3",
    "colect",
    "tasks libero_gaol",
    "config show --for colect",
    "dataset verify nowhere",
    "dataset merge mixed human=1 experts=lots",
    "export lerobot nowhere out",
    "campaign status nobody",
    "doctor libero_goal",
    "demos import nowhere.hdf5",
)


def output_of(line, folder):
    command = [sys.executable, "-m", "rl_datagen", *line.split()]
    environment = {**os.environ, "COLUMNS": "100"}
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert result.returncode == 2, line
    assert "Traceback" not in result.stderr
    return "\n".join(text.rstrip() for text in result.stderr.strip().splitlines())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_has_what_is_printed(tmp_path):
    blocks = [f"```\n$ rl-datagen {line}\n{output_of(line, tmp_path)}\n```" for line in WRONG]
    page = "\n".join([HEAD, "\n\n".join(blocks)]) + "\n"
    assert list(tmp_path.rglob("*")) == []
    if "UPDATE_SNAPSHOTS" in os.environ:
        PAGE.write_text(page, "utf-8")
    assert page == PAGE.read_text("utf-8")
