"""Does fine-tuning learn, on real LIBERO and two CPU cores?

What it shows: success on LIBERO's 50 shipped init states and mean length of the successful
episodes, of a warm start that was made weak on purpose and of its expert, for the diffusion policy
and the Gaussian one, on four tasks.

How to run it (hours; what was interrupted resumes)::

    python benchmarks/learning.py run [--kinds diffusion gaussian] [--tasks libero_goal/8 ...]
    python benchmarks/learning.py shorten --tasks libero_spatial/6
    python benchmarks/learning.py figures

``run`` prints each command it gives; two run at once. ``shorten`` resumes with finished runs under
a lower discount. ``figures`` reads what is there so far and writes docs/results/learning.json and
learning.png.

Results to expect: the last line is ``RESULT`` and the JSON object of docs/results/learning.json.
"""

import argparse
import json
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rl_datagen.report.drawing import COLORS

import yaml
from matplotlib.figure import Figure

WARM_STARTS = {
    "libero_object/6": (10, 500),
    "libero_spatial/6": (8, 500),
    "libero_goal/8": (20, 500),
    "libero_90/70": (4, 250),
}
"""Demonstrations and gradient steps of cloning: few, so that it succeeds in 30 % to 70 %."""
KINDS = {
    "diffusion": (
        "policy.sampling_eta=1",
        "policy.sampling_temperature=1",
        "algo.minibatch_size=5000",
    ),
    "gaussian": ("ablation/gaussian", "algo.minibatch_size=1000"),
}
SETTINGS = (
    "evaluation.num_episodes=50",
    "algo.num_env_runners=1",
    "algo.num_envs_per_env_runner=64",
    "algo.evaluation_interval=3",
    # The recipe before polishing; then runs ended at 98 % of 50 episodes, not by the verdict.
    "demos.num_steps_after_success=0",
    "policy.unet_channels=[64,128]",
    "warm_start.train_batch_size=256",
    "polish.num_rounds=0",
    "algo.num_iterations=30",
    "algo.num_episodes_per_iteration=256",
    "algo.num_epochs=2",
    "algo.num_critic_warmup_iterations=1",
    "algo.gamma=0.99",
    "algo.time_limit_factor=null",
)
SHORTEN = ("algo.gamma=0.95", "algo.num_iterations=42", "algo.patience=null")
"""What goes on with a run that succeeds, but slowly; 42 iterations take less than two hours."""
DOCS = Path(__file__).parent.parent / "docs/results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("run", "shorten", "figures"))
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=list(KINDS))
    parser.add_argument("--tasks", nargs="+", choices=list(WARM_STARTS), default=list(WARM_STARTS))
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    arguments = parser.parse_args()
    if arguments.action != "figures":
        more = SHORTEN if arguments.action == "shorten" else ()
        commands = [
            [*train(t, k, arguments.outputs), *more]
            for k in arguments.kinds
            for t in arguments.tasks
        ]
        with ThreadPoolExecutor(arguments.at_once) as executor:
            list(executor.map(run, commands))
    result = {task: read_task(arguments.outputs, task) for task in WARM_STARTS}
    DOCS.mkdir(exist_ok=True)
    (DOCS / "learning.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draw(arguments.outputs)
    print("RESULT", json.dumps(result))


def run_name(task: str, kind: str) -> str:
    return f"study-{kind}-{task.replace('/', '-')}"


def train(task: str, kind: str, outputs: Path) -> list[str]:
    """The command of one run; both kinds have the same demonstrations."""
    num_demonstrations, num_updates = WARM_STARTS[task]
    return [
        *(sys.executable, "-m", "rl_datagen", "train", "expert_state"),
        *KINDS[kind],
        f"task={task}",
        f"name={run_name(task, kind)}",
        f"output_dir={outputs}",
        f"demos.num_episodes={num_demonstrations}",
        f"warm_start.num_updates={num_updates}",
        *SETTINGS,
    ]


def run(command: list[str]) -> None:
    print(shlex.join(command), flush=True)
    subprocess.run(command, check=True)


def read_task(outputs: Path, task: str) -> dict:
    found = {kind: read_run(outputs, task, kind) for kind in KINDS}
    return {kind: row for kind, row in found.items() if row}


def read_run(outputs: Path, task: str, kind: str) -> dict | None:
    """What one run came to; None if it is not at its end."""
    stages = outputs / "runs" / run_name(task, kind) / "stages"
    if not (stages / "evaluate_after.json").exists():
        return None
    stage = {path.stem: json.loads(path.read_text()) for path in stages.glob("*.json")}
    before, after = stage["evaluate_before"], stage["evaluate_after"]
    # Of a run that was interrupted, the stage knows the time of its last part only.
    curve = read_curve(outputs, task, kind)
    learning = sum(row[f"seconds_{part}"] for row in curve for part in ("sample", "learn", "sync"))
    others = sum(value["seconds"] for name, value in stage.items() if name != "dppo")
    return {
        "warm_start": before["success_rate"],
        "expert": after["success_rate"],
        "expert_interval": [round(after[f"success_ci_{side}"], 3) for side in ("low", "high")],
        "n": after["num_episodes"],
        "length_warm": round(before["success_len_mean"], 1),
        "length_expert": round(after["success_len_mean"], 1),
        "iterations": stage["dppo"]["iterations"],
        "env_steps": stage["dppo"]["env_steps"],
        "minutes": round((learning + others) / 60, 1),
        "gamma": yaml.safe_load((stages.parent / "config.yaml").read_text())["algo"]["gamma"],
    }


def read_curve(outputs: Path, task: str, kind: str) -> list[dict]:
    path = outputs / "experts" / task / run_name(task, kind) / "learning_curve.json"
    return json.loads(path.read_text()) if path.exists() else []


def draw(outputs: Path) -> None:
    """Success against env steps: exploring (lines) and evaluated (dots), one panel a task."""
    figure = Figure(figsize=(11, 3.1), layout="constrained")
    panels = figure.subplots(1, len(WARM_STARTS), sharey=True)
    for panel, task in zip(panels, WARM_STARTS, strict=True):
        for kind in KINDS:
            draw_curve(panel, read_curve(outputs, task, kind), kind)
        panel.set_title(task, fontsize=10)
        panel.set_xlabel("env steps, thousands")
        panel.set_ylim(0, 1.02)
        panel.grid(alpha=0.2)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("success")
    panels[0].legend(frameon=False, loc="lower right", fontsize=9)
    figure.savefig(DOCS / "learning.png", dpi=130)


def draw_curve(panel, curve: list[dict], kind: str) -> None:
    color = COLORS[f"{kind}_rl"]
    marks = {"success_rate": {"label": kind}, "evaluation_success_rate": {"ls": "", "marker": "."}}
    for name, style in marks.items():
        rows = [row for row in curve if name in row]
        steps = [row["num_env_steps_lifetime"] / 1000 for row in rows]
        panel.plot(steps, [row[name] for row in rows], color=color, markersize=9, **style)


if __name__ == "__main__":
    main()
