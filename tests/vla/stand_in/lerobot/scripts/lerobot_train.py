"""Takes lerobot's arguments and leaves its files and log lines: for tests without lerobot."""

import json
import sys
from pathlib import Path

arguments = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
settings = json.loads(Path(arguments["config_path"]).read_text())
output, step = Path(settings["output_dir"]), 0
last = output / "checkpoints" / "last"
if "resume" in arguments:
    step = json.loads((last / "training_state" / "training_step.json").read_text())["step"]
elif output.exists():
    sys.exit(f"Output directory {output} already exists")
while step < settings["steps"]:
    step += 1
    if step % settings["log_freq"] == 0:
        row = f"loss:{1 / step:.3f} grdn:2.000 lr:1.0e-04 updt_s:0.100 data_s:0.001"
        sys.stderr.write(f"INFO 2026-01-01 ot_train.py:1 step:{step} smpl:{step} {row}\n")
    if step % settings["save_freq"] == 0 or step == settings["steps"]:
        model, state = last / "pretrained_model", last / "training_state"
        model.mkdir(parents=True, exist_ok=True)
        state.mkdir(exist_ok=True)
        (model / "train_config.json").write_text(json.dumps(settings))
        (model / "model.safetensors").write_text(str(step))
        (state / "training_step.json").write_text(json.dumps({"step": step}))
    if step == settings["policy"].get("dies_at") and "resume" not in arguments:
        sys.exit("CUDA out of memory")
