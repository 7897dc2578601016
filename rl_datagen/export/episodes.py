"""The episodes of a dataset that an export takes, one at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.dataset import read_episodes, read_rendered
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.tasks import Task, select_tasks

_NOT_ROWS = ("init_state", "fixture_poses")  # arrays of a trajectory that have no row per env step


@dataclass
class Exported:
    """What an export wrote.

    Attributes:
        path: The folder.
        num_episodes: Episodes in it.
        num_frames: Env steps in it.
        num_failed: Episodes left out because they did not reach the goal.
        num_noops: Env steps left out as no-ops.
        num_not_rendered: Successful episodes left out because they have no images.
    """

    path: Path
    num_episodes: int = 0
    num_frames: int = 0
    num_failed: int = 0
    num_noops: int = 0
    num_not_rendered: int = 0


class Episodes:
    """The successful episodes of some tasks of a dataset.

    Args:
        dataset: Folder of the dataset.
        selector: Tasks, such as ``"libero_goal"``; those that the dataset lacks are left out.
        drop_noops: Leave out the env steps that are no-ops.
        rendered_only: Leave out episodes without images, of which there may be some after a
            replay that departed from its record.
        images: Whether the format has images.
        progress: Told of each episode.

    Raises:
        DatasetError: Nothing is selected, images are missing, or the dataset is damaged.
    """

    def __init__(
        self,
        dataset: Path,
        selector: str = "all",
        *,
        drop_noops: bool = False,
        rendered_only: bool = False,
        images: bool = True,
        progress: Progress = SILENT,
    ) -> None:
        self._progress = progress
        self.dataset, self.drop_noops, self.rendered_only = dataset, drop_noops, rendered_only
        self.image_size = (0, 0)  # height and width in pixels, once read
        self.appearance: str | None = None  # how textures are coloured, once read
        shards = read_manifest(dataset).shards
        present = {shard.task for shard in shards if shard.images or not rendered_only}
        selected = [task for task in select_tasks(selector) if task.id in present]
        if not selected:
            raise DatasetError(
                f"Dataset {dataset} has no {'rendered ' if rendered_only else ''}episode of "
                f"task={selector}. It has: "
                f"{', '.join(sorted(present)) or 'nothing'}."
            )
        self.tasks = [task for task in selected if self._num_successes(task)]
        if not self.tasks:
            raise DatasetError(
                f"No episode of task={selector} of dataset {dataset} reached the goal, and only "
                "those that did are exported."
            )
        if images and not rendered_only:
            _check_rendered(dataset, self.tasks)
        progress.start("export", sum(map(self._num_successes, self.tasks)), "episodes")

    def read(
        self, report: Exported, task: Task | None = None
    ) -> Iterator[tuple[Trajectory, RenderedEpisode | None]]:
        """Yields the episodes task by task, and counts them.

        Args:
            report: Counts what is taken and what is left out.
            task: Only this task's.

        Raises:
            DatasetError: A file is missing or damaged.
        """
        for selected in [task] if task else self.tasks:
            for trajectory, rendered in read_rendered(self.dataset, task=selected.id):
                if not trajectory.success:
                    report.num_failed += 1
                    continue
                self._progress.advance(1, selected.id)
                if self.rendered_only and rendered is None:
                    report.num_not_rendered += 1
                    continue
                if self.drop_noops:
                    report.num_noops += int(trajectory.noops.sum())
                    trajectory, rendered = without_noops(trajectory, rendered)
                self._check_size(rendered)
                report.num_episodes += 1
                report.num_frames += len(trajectory)
                yield trajectory, rendered

    def _num_successes(self, task: Task) -> int:
        return sum(read_episodes(self.dataset, task=task.id)["success"].to_pylist())

    def _check_size(self, rendered: RenderedEpisode | None) -> None:
        if rendered is None:
            return
        size = rendered.agentview.shape[1:3]
        if self.image_size not in ((0, 0), size):
            raise DatasetError(
                f"The images of episode '{rendered.episode_id}' have {size[0]} x {size[1]} pixels, "
                f"those before it {self.image_size[0]} x {self.image_size[1]}. One export has one "
                "size: export tasks of one size at a time (--task), or render all of them again."
            )
        if self.appearance not in (None, rendered.appearance):
            raise DatasetError(
                f"The images of episode '{rendered.episode_id}' have the appearance "
                f"'{rendered.appearance}', those before it '{self.appearance}'. One export has "
                "one: render the dataset again (`rl-datagen dataset merge COPY DATASET "
                "--no-images`, then `rl-datagen dataset render COPY`)."
            )
        self.image_size, self.appearance = (size[0], size[1]), rendered.appearance


def without_noops(
    trajectory: Trajectory, rendered: RenderedEpisode | None
) -> tuple[Trajectory, RenderedEpisode | None]:
    """Returns an episode without its no-ops; it does not replay bit for bit any more."""
    kept = ~trajectory.noops
    arrays = {
        field.name: getattr(trajectory, field.name)[kept]
        for field in fields(trajectory)
        if field.name not in _NOT_ROWS and hasattr(getattr(trajectory, field.name), "shape")
    }
    if rendered is not None:
        images = {"agentview": rendered.agentview[kept], "wrist": rendered.wrist[kept]}
        rendered = replace(rendered, **images)
    return replace(trajectory, **arrays), rendered


def _check_rendered(dataset: Path, tasks: Sequence[Task]) -> None:
    """From the manifest alone, so that an export of hours does not fail at its end."""
    selected = {task.id for task in tasks}
    shards = [shard for shard in read_manifest(dataset).shards if shard.task in selected]
    missing = [s for s in shards if sum(i.num_rows for i in s.images) < s.steps.num_rows]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(shards)} shards of dataset {dataset} are not rendered "
            f"completely ({missing[0].steps.path} of {missing[0].task} is the first), and this "
            f"format has camera images. Render them first: rl-datagen dataset render {dataset}, or "
            "leave out episodes without images: --rendered-only."
        )
