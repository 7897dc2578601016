"""What the repository ships is sound, small, and found by name."""

import re
from pathlib import Path

from rl_datagen.data.compact import read_compact_manifest
from rl_datagen.data.verify_compact import verify_compact
from rl_datagen.jobs.stored import Experts

RELEASE = Path(__file__).parents[1] / "release"
MAX_DATA, MAX_EXPERTS = 40e6, 64e6  # bytes, once all 130 tasks are there
DATA = RELEASE / "libero130"


def test_the_data_is_sound_and_all_of_it_successes():
    report = verify_compact(DATA)
    report.check()
    assert report.num_episodes == 50 * report.num_shards
    assert report.num_bytes < MAX_DATA


def test_each_task_has_its_expert_and_each_expert_its_data():
    experts = Experts("release", "elsewhere")
    tasks = experts.tasks(None)
    assert {task.id for task in tasks} == {each.task for each in read_compact_manifest(DATA).files}
    for task in tasks:
        actor = experts.read(task).load()
        assert actor.policy.config.source == "diffusion_rl"
    size = sum(path.stat().st_size for path in (RELEASE / "experts").rglob("*") if path.is_file())
    assert size < MAX_EXPERTS


def test_no_path_of_the_machine_that_made_it_is_in_it():
    for path in RELEASE.rglob("*"):
        if path.suffix in (".yaml", ".json"):
            assert not re.search(r"""[\s"']/\w""", path.read_text()), path
