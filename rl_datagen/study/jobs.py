"""The study's jobs; each does what a command of ``rl-datagen`` does."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rl_datagen.config import PaperConfig
from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.pipeline.engine import Summary, run_stages
from rl_datagen.runtime.workdir import bind, lock_folder
from rl_datagen.study import configs, estimate
from rl_datagen.study.graph import Job, markers_of


def make_jobs(config: PaperConfig, progress: Progress = SILENT) -> list[Job]:
    """Returns the graph, each job after those it needs.

    Args:
        config: The study.
        progress: Told how far a job is.
    """
    return list(_Study(config, progress).jobs())


def run_study(config: PaperConfig, progress: Progress) -> Path:
    """Runs what is not done yet of the study; returns its folder.

    Raises:
        ConfigError: The folder is of a study with other configs.
        UserError: A job could not be done, those before it are; or another process runs the study.
    """
    with lock_folder(configs.folder_of(config)):
        return _run(config, progress)


def _run(config: PaperConfig, progress: Progress) -> Path:
    from rl_datagen.campaign.run import num_cores
    from rl_datagen.runtime.cluster import ray_session

    folder = configs.folder_of(config)
    bind(
        folder,
        config.model_dump(mode="json"),
        config.model_dump(mode="json", exclude=_FREE),
        "Choose another name with name=..., or delete that folder, which has the study's tables "
        "and markers but neither experts nor datasets.",
    )

    jobs = make_jobs(config, progress)
    markers = markers_of(jobs, folder)
    done = all(markers.is_done(job.name) for job in jobs)
    cores = max(num_cores(config, len(config.tasks)), config.vla.num_workers + 1)
    # One session for all jobs, each of which would start Ray itself.
    with nullcontext() if done else ray_session(folder / "ray.log", cores):
        run_stages({job.name: job.run for job in jobs}, markers, progress)
    return folder


_FREE = {
    "output_dir": True,
    "costs": True,
    "campaign": True,
    "vla": {"num_workers", "gpus_per_worker"},
    "benchmark": {"num_simulators", "num_gpus_per_worker", "num_failure_videos"},
}
"""Settings that may change from one call to the next; a campaign looks after its own."""


@dataclass(frozen=True)
class _Study:
    config: PaperConfig
    progress: Progress

    def jobs(self) -> Iterator[Job]:
        config, tasks = self.config, len(self.config.tasks)
        for source in configs.EXPERTS:
            cores = estimate.trial_cores(config)
            resources = f"{tasks} trials of {cores} core{'s' if cores > 1 else ''}"
            hours = estimate.experts_hours(config)
            gpus = f" and {hours.gpu * estimate.trial_cores(config) / hours.core:g} GPU"
            yield Job(
                f"experts-{source}",
                (),
                self._call(self._experts, source),
                resources + (gpus if hours.gpu else ""),
                hours,
            )
        yield from self._datasets()
        for mixture in configs.mixtures(config):
            yield from self._learner(mixture, zero_shot=False)
        for mixture in configs.mixtures(config) if config.zero_shot else ():
            yield from self._learner(mixture, zero_shot=True)
        evaluated = tuple(f"evaluate-{name}" for name in self._learners())
        yield Job("tables", evaluated, self._tables)
        rendered = tuple(f"render-{source}" for source in configs.sources(config))
        yield Job("quality", rendered, self._quality)

    def _datasets(self) -> Iterator[Job]:
        config = self.config
        cores = "units of 1 core"
        for source in configs.sources(config):
            experts = configs.experts_of(source)
            after = (f"experts-{experts}",) if experts else ()
            collect, render = f"collect-{source}", f"render-{source}"
            hours = estimate.collect_hours(config, source)
            yield Job(collect, after, self._call(self._collect, source), cores, hours)
            hours = estimate.render_hours(config)
            yield Job(render, (collect,), self._call(self._render, source), cores, hours)
        for mixture in self._merged():
            after = tuple(f"render-{source}" for source in mixture.split("+"))
            yield Job(f"merge-{mixture}", after, self._call(self._merge, mixture))

    def _learner(self, mixture: str, *, zero_shot: bool) -> Iterator[Job]:
        config = self.config
        made = "merge" if mixture in self._merged() else "render"
        name = mixture + ("-zero-shot" if zero_shot else "")
        gpus = f" and {config.vla.gpus_per_worker:g} GPU" if config.vla.gpus_per_worker else ""
        yield Job(
            f"vla-{name}",
            (f"{made}-{mixture}",),
            lambda: self._train(mixture, zero_shot),
            f"{config.vla.num_workers} x 1 core{gpus}",
            estimate.vla_hours(config),
        )
        selector = configs.evaluation_of(config, mixture, zero_shot=zero_shot).task
        assert selector is not None
        yield Job(
            f"evaluate-{name}",
            (f"vla-{name}",),
            lambda: self._evaluate(mixture, zero_shot),
            "units of 1 core",
            estimate.evaluation_hours(config, selector),
        )

    def _merged(self) -> list[str]:
        return [mixture for mixture in configs.mixtures(self.config) if "+" in mixture]

    def _learners(self) -> dict[str, tuple[str, bool]]:
        """Returns mixture and kind of each VLA, by name."""
        every = configs.mixtures(self.config)
        zero_shot = {f"{m}-zero-shot": (m, True) for m in every} if self.config.zero_shot else {}
        return {m: (m, False) for m in every} | zero_shot

    def _call(self, function: Callable[[str], Summary], name: str) -> Callable[[], Summary]:
        return lambda: function(name)

    # Each imports what it needs when it runs: a dry run answers at once.

    def _experts(self, source: str) -> Summary:
        from rl_datagen.campaign.run import run_campaign

        campaign = configs.campaign_of(self.config, source)
        states = run_campaign(campaign, retry_failed=True, progress=self.progress)
        counts = Counter(state.state if state else "pending" for state in states.values())
        if lacking := sum(counts[state] for state in ("failed", "pending", "running")):
            raise UserError(
                f"{lacking} of {len(states)} tasks have no expert: `rl-datagen campaign status "
                f"{campaign.storage}` says why. The same command tries them again."
            )
        return dict(counts)

    def _collect(self, source: str) -> Summary:
        from rl_datagen.jobs.collect import collect

        config = configs.collection_of(self.config, source)
        return {"dataset": str(collect(config, self.progress))}

    def _render(self, source: str) -> Summary:
        from rl_datagen.jobs.render import render_dataset

        dataset = configs.dataset_of(self.config, source)
        done = render_dataset(dataset, configs.render_of(self.config), progress=self.progress)
        done.check()
        return {"episodes": done.total}

    def _merge(self, mixture: str) -> Summary:
        from rl_datagen.data.merge import merge

        parts = [(configs.dataset_of(self.config, s), None) for s in mixture.split("+")]
        out = configs.dataset_of(self.config, mixture)
        taken = merge(out, parts, progress=self.progress)
        return {"episodes": sum(part.num_episodes for part in taken)}

    def _train(self, mixture: str, zero_shot: bool) -> Summary:
        from rl_datagen.vla.train import train

        config = configs.vla_of(self.config, mixture, zero_shot=zero_shot)
        name = f"vla-{mixture}-zero-shot" if zero_shot else f"vla-{mixture}"
        return {"vla": str(train(config, progress=self.progress, stage=name))}

    def _evaluate(self, mixture: str, zero_shot: bool) -> Summary:
        from rl_datagen.data.results import read_results
        from rl_datagen.jobs.evaluate import evaluate_tasks

        config = configs.evaluation_of(self.config, mixture, zero_shot=zero_shot)
        folder = evaluate_tasks(config, self.progress)
        episodes = read_results(folder)
        successes = sum(episode.success for episode in episodes)
        return {"episodes": len(episodes), "successes": successes}

    def _tables(self) -> Summary:
        from rl_datagen.report.tables import make_tables
        from rl_datagen.report.tables_report import write_tables

        evaluations = [
            configs.evaluation_of(self.config, mixture, zero_shot=zero_shot).folder
            for mixture, zero_shot in self._learners().values()
        ]
        written = write_tables(configs.folder_of(self.config), make_tables(evaluations))
        return {"tables": str(written[0])}

    def _quality(self) -> Summary:
        from rl_datagen.report.comparison import compare
        from rl_datagen.report.comparison_report import write_comparison

        datasets = [configs.dataset_of(self.config, s) for s in configs.sources(self.config)]
        folder = configs.folder_of(self.config) / "quality"
        write_comparison(folder, compare(datasets, progress=self.progress))
        return {"page": str(folder / "index.html")}
