"""Folders that this program has written, with one or two files damaged, read by what resumes."""

import contextlib
import io
import json
import shutil
from dataclasses import fields

import h5py
import numpy as np
import torch
import yaml

from rl_datagen.algo.checkpoint import restore_checkpoint, save_checkpoint
from rl_datagen.campaign.board import render_board
from rl_datagen.campaign.read import read_campaign
from rl_datagen.campaign.run import _claim
from rl_datagen.campaign.state import read_states
from rl_datagen.campaign.sync import Sync
from rl_datagen.cli.campaign_status import print_status
from rl_datagen.config import CampaignConfig, EvaluateConfig, VlaConfig, load_config
from rl_datagen.core.progress import SILENT
from rl_datagen.core.storage import Storage, sha256, write_json
from rl_datagen.data.card import dataset_info
from rl_datagen.data.compact import compact, read_compact, read_compact_manifest
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.manifest import _seal, read_manifest
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.results import EvaluatedEpisode, read_results, write_episodes, write_results
from rl_datagen.data.verify import verify
from rl_datagen.data.verify_compact import verify_compact
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos.hdf5 import read_hdf5
from rl_datagen.demos.sources import find_sources
from rl_datagen.jobs.evaluate import _ended
from rl_datagen.jobs.stored import Experts, find_policy
from rl_datagen.pipeline.engine import run_stages
from rl_datagen.pipeline.run import ORDER, Run
from rl_datagen.policy import load_expert, make_policy, save_expert
from rl_datagen.policy.supervised import SupervisedLearner
from rl_datagen.report.tables import make_tables
from rl_datagen.runtime.workdir import bind
from rl_datagen.tasks import get_task
from rl_datagen.vla import folder as vla_folder
from rl_datagen.vla import train as vla_training
from rl_datagen.vla.frames import check_frames, read_frames
from rl_datagen.vla.frames_format import write_frames
from rl_datagen.vla.language import load_embeddings, save_embeddings
from rl_datagen.vla.policy import load_vla
from tests.algo.test_checkpoint import ROW, Algorithm
from tests.campaign.states import failed, finished, running, store
from tests.conftest import _make_trajectory
from tests.fuzz import damage
from tests.fuzz.judge import expect
from tests.toy import demonstrations, toy_config
from tests.vla.conftest import SMALL, TASKS, render

SENTENCES = [get_task(task).instruction for task in TASKS]


class Folder:
    """A sound folder, and what may be done with a damaged copy of it."""

    name: str

    def __init__(self, root):
        self.root, self.sound, self.work = root, root / "sound", root / "work"
        self.sound.mkdir(parents=True)
        self.build(self.sound)
        self.acts = [getattr(self, name) for name in dir(self) if name.startswith("act_")]
        self.files = [p for p in sorted(self.sound.rglob("*")) if p.is_file()]

    def make(self, rng):
        damage.copy(self.sound, self.work)
        self.lies = False
        for path in rng.sample(self.files, min(len(self.files), rng.choice([1, 1, 1, 2]))):
            damage.apply(self.work / path.relative_to(self.sound), rng)
        self.touch(rng)
        act = rng.choice(self.acts)
        return lambda: act(self.work)

    def build(self, folder):
        raise NotImplementedError

    def touch(self, rng):
        """Does more to the damaged copy."""


def equal(a, b):
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def reseal(folder):
    """Makes the manifest's checksums those of the damaged files, as a faulty writer would."""
    path = folder / "manifest.json"
    try:
        body = json.loads(path.read_text())
        body.pop("sha256")
        _reseal(folder, body)
        write_json(path, {**body, "sha256": _seal(body)})
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return False
    return True


def _reseal(folder, value):
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            _reseal(folder, each)
    if isinstance(value, dict) and "sha256" in value and (folder / value["path"]).is_file():
        value["sha256"] = sha256(folder / value["path"])
        value["num_bytes"] = (folder / value["path"]).stat().st_size


def check_episodes(found, known):
    for episode in found:
        known_one = known.get(episode.episode_id)
        expect(known_one and equal(episode, known_one), f"{episode.episode_id} is another one")


class Dataset(Folder):
    name = "dataset folders"

    def build(self, folder):
        parts = [("libero_goal/3", 0), ("libero_goal/3", 4), ("libero_object/0", 0)]
        self.known = {}
        with DatasetWriter(folder, config={"seed": 0}, origin={"git": "abc"}) as writer:
            for number, (task, first) in enumerate(parts):
                some = [_make_trajectory(first + i, task=task) for i in range(2)]
                self.known |= {each.episode_id: each for each in some}
                writer.append(some)
                writer.append_images(map(render, some), shard=writer.manifest.shards[number])
        lines = [{"shard": s.model_dump(mode="json")} for s in read_manifest(folder).shards]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "journal.jsonl").write_text(text)

    def touch(self, rng):
        self.lies = rng.random() < 0.4 and reseal(self.work)

    def act_verify(self, folder):
        report = verify(folder)
        report.check()
        self.act_read(folder)

    def act_verify_quickly(self, folder):
        verify(folder, quick=True).check()

    def act_read(self, folder):
        found = list(read_trajectories(folder))
        if not self.lies:
            check_episodes(found, self.known)

    def act_describe(self, folder):
        dataset_info(folder)

    def act_go_on(self, folder):
        with DatasetWriter(folder, config={"seed": 0}) as writer:
            writer.append([_make_trajectory(77)])
        read_manifest(folder)

    def act_decode(self, folder):
        target = self.root / "frames"
        write_frames(target, folder, tasks="all", drop_noops=False, image_size=16)
        shutil.rmtree(target)


class Compact(Folder):
    name = "compact datasets"

    def build(self, folder):
        source = self.root / "dataset"
        with DatasetWriter(source, config={"seed": 0}, origin={"git": "abc"}) as writer:
            for task in ("libero_goal/3", "libero_object/0"):
                writer.append([_make_trajectory(i, task=task) for i in range(2)])
        folder.rmdir()
        compact(source, folder)
        self.known = {e.episode_id: e for e in read_trajectories(source)}

    def touch(self, rng):
        self.lies = rng.random() < 0.4 and reseal(self.work)

    def act_verify(self, folder):
        verify_compact(folder).check()
        self.act_read(folder)

    def act_read(self, folder):
        for file in read_compact_manifest(folder).files:
            for episode in read_compact(folder, file.task):
                if self.lies:
                    continue
                known = self.known[episode.episode_id]
                expect(np.array_equal(episode.actions, known.action), "another action")
                expect(np.array_equal(episode.init_state, known.init_state), "another init state")


class Results(Folder):
    name = "results of evaluations"

    def build(self, folder):
        self.rows = [
            EvaluatedEpisode(f"libero_goal/{task}", index, 10 * index, index % 2 == 0, 80 + index)
            for task in (0, 1)
            for index in range(3)
        ]
        write_results(folder, self.rows, seconds=3.5)
        for task in (0, 1):
            rows = self.rows[3 * task : 3 * task + 3]
            write_episodes(folder / "episodes" / f"libero_goal-{task}-00.parquet", rows)
        config = load_config(
            ["policy=x", "num_episodes=3", "source=diffusion_rl", "trained_on=libero_90"],
            model=EvaluateConfig,
        )
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        bind(folder, {}, {"policy": "x", "seed": 0, "sim": {"backend": "exact"}}, "Look.")
        (folder / "config.yaml").write_text(text)

    def act_read(self, folder):
        expect(read_results(folder) == self.rows, "other rows")

    def act_tables(self, folder):
        make_tables([folder])

    def act_go_on(self, folder):
        bind(folder, {}, {"policy": "x", "seed": 0, "sim": {"backend": "exact"}}, "Look.")
        expect(all(row in self.rows for row in _ended(folder)), "other rows")


class Expert(Folder):
    name = "experts' folders"

    def build(self, folder):
        config = toy_config("task=libero_object/0", "policy.encoder_width=8")
        stats = NormStats.from_trajectories(demonstrations(3))
        torch.manual_seed(0)
        policy = make_policy(config.policy, stats)
        save_expert(folder, policy, config, stats, {"loss": 1.0})
        self.weights = {name: value.clone() for name, value in policy.state_dict().items()}

    def _check(self, actor):
        found = actor.policy.state_dict()
        same = all(torch.equal(found[name], value) for name, value in self.weights.items())
        expect(same, "other weights")

    def act_load(self, folder):
        self._check(load_expert(folder))

    def act_find(self, folder):
        self._check(find_policy(str(folder)).load())

    def act_collect(self, folder):
        experts = Experts(str(folder), str(folder.parent))
        self._check(experts.read(experts.tasks(None)[0]).load())


class Vla(Folder):
    name = "VLAs' folders"

    def build(self, folder):
        dataset = folder.parent / "dataset"
        with DatasetWriter(dataset, config={"seed": 0}, origin={"git": "abc"}) as writer:
            for number, task in enumerate(TASKS):
                some = [_make_trajectory(i, task=task, source="diffusion_rl") for i in range(2)]
                writer.append(some)
                writer.append_images(map(render, some), shard=writer.manifest.shards[number])
        folder.rmdir()
        settings = [f"datasets=[{dataset}]", f"output_dir={self.root}", "name=a", *SMALL]
        self.config = load_config([*settings, "model.num_updates=2"], model=VlaConfig)
        generator = torch.Generator().manual_seed(0)
        self.embeddings = {s: torch.randn(6, generator=generator) for s in SENTENCES}
        save_embeddings(self.config.folder / "embeddings.safetensors", self.embeddings)
        with without_tracker():
            made = vla_training.train(self.config)
        damage.copy(made, folder)
        self.known = load_vla(folder).network.state_dict()

    def act_describe(self, folder):
        vla_folder.read_config(folder)
        vla_folder.read_data(folder, "num_episodes", "tasks")
        vla_folder.read_metrics(folder)

    def act_load(self, folder):
        self._check(load_vla(folder))

    def act_find(self, folder):
        self._check(find_policy(str(folder)).load())

    def act_go_on(self, folder):
        damage.copy(folder, self.config.folder)
        with without_tracker():
            vla_training.train(self.config)

    def _check(self, policy):
        found = policy.network.state_dict()
        expect(all(torch.equal(found[n], v) for n, v in self.known.items()), "other weights")
        for sentence, vector in policy._embeddings.items():
            expect(torch.equal(self.embeddings[sentence], vector), "another embedding")


@contextlib.contextmanager
def without_tracker():
    class Nothing:
        def __getattr__(self, name):
            return lambda *_, **__: None

    real, vla_training.make_trackers = vla_training.make_trackers, lambda *_: Nothing()
    try:
        yield
    finally:
        vla_training.make_trackers = real


class UnfinishedVla(Folder):
    name = "unfinished VLAs"

    def build(self, folder):
        dataset = self.root / "dataset"
        with DatasetWriter(dataset, config={"seed": 0}, origin={"git": "abc"}) as writer:
            some = [_make_trajectory(i, source="diffusion_rl") for i in range(2)]
            writer.append(some)
            writer.append_images(map(render, some), shard=writer.manifest.shards[0])
        frames = folder / "frames"
        write_frames(frames, dataset, tasks="all", drop_noops=False, image_size=16)
        self.frames = read_frames(frames)
        self.images = shown(self.frames)
        self.embeddings = {"do it": torch.ones(4)}
        save_embeddings(folder / "embeddings.safetensors", self.embeddings)
        learner = self.learner()
        self.states = [0.0]
        for _ in range(3):
            learner.update()
            learner.save(folder / "checkpoint.pt")
            self.states.append(total(learner))

    def learner(self):
        torch.manual_seed(0)
        network = torch.nn.Linear(5, 3)
        settings = load_config([*SMALL, "datasets=x"], model=VlaConfig).model
        loss = lambda: network(torch.ones(2, 5)).square().mean()  # noqa: E731
        return SupervisedLearner(network, settings, loss, advice="look")

    def act_checkpoint(self, folder):
        learner = self.learner()
        self.states[0] = total(learner)
        learner.load(folder / "checkpoint.pt")
        expect(total(learner) == self.states[learner.num_updates], "another state")
        learner.update()
        learner.save(folder / "checkpoint.pt")

    def act_frames(self, folder):
        check_frames(folder / "frames")
        frames = read_frames(folder / "frames")
        same = all(np.array_equal(v, self.images[n]) for n, v in shown(frames).items())
        expect(same and np.array_equal(frames.action, self.frames.action), "other frames")

    def act_embeddings(self, folder):
        found = load_embeddings(folder / "embeddings.safetensors")
        expect(torch.equal(found["do it"], self.embeddings["do it"]), "other embeddings")


def shown(frames):
    return {camera: images[np.arange(len(frames))] for camera, images in frames.images.items()}


def total(learner):
    parts = [p.detach() for p in learner._network.parameters()] + learner._ema.shadow_params
    return torch.cat([part.flatten() for part in parts]).numpy().tobytes()


class State(Folder):
    name = "state of runs on resume"

    def build(self, folder):
        (folder / "config.yaml").write_text("")
        self.config = load_config(["name=runs", f"output_dir={self.root}/out"])
        evaluated = {
            **{"num_successes": 45, "num_episodes": 50, "success_rate": 0.9, "seconds": 3.0},
            **{"success_ci_low": 0.8, "success_ci_high": 0.95, "episode_len_mean": 88.5},
        }
        special = {
            "demonstrations": {"episodes": 3, "attempts": 5, "length_mean": 100.5, "seconds": 1.0},
            "dppo": {"iterations": 3, "env_steps": 1000, "seconds": 12.5},
            "polish_before": {"round": 1, "verdict": "reliable", "env_steps": 5, "seconds": 2},
        }
        for stage in ORDER:
            write_json(folder / "stages" / f"{stage}.json", special.get(stage, evaluated))
        text = yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False)
        (folder / "config.yaml").write_text(text)
        for iteration in (1, 2, 3):
            curve = [{**ROW, "iteration": i + 1} for i in range(iteration)]
            save_checkpoint(Algorithm(iteration), folder / "checkpoints", curve)

    def _run(self, folder):
        class Here(Run):
            def _output(self, *kind, suffix=""):
                return folder if kind[0] == "runs" else folder.parent / "other"

        (folder.parent / "other").mkdir(exist_ok=True)
        return Here(self.config, SILENT)

    def act_claim(self, folder):
        self._run(folder).bind()

    def act_stages(self, folder):
        run = self._run(folder)
        stages = {name: lambda: {"x": 1} for name in ORDER}
        run_stages(stages, run.markers, SILENT)

    def act_summaries(self, folder):
        run = self._run(folder)
        assert run.time_limit is None or run.time_limit >= 0
        names = ("num_successes", "num_episodes", "success_ci_low", "success_ci_high")
        found = run.markers.summary("evaluate_after", *names, "episode_len_mean")
        "{num_successes} {num_episodes} {success_ci_low:.0%} {episode_len_mean:.0f}".format(**found)
        run.markers.summary("dppo", "iterations")["iterations"] + 1

    def act_checkpoint(self, folder):
        algo = Algorithm()
        curve = restore_checkpoint(algo, folder / "checkpoints")
        expect((algo.weight == algo.iteration).all(), "other weights")
        expect(curve == [{**ROW, "iteration": i + 1} for i in range(algo.iteration)], "other rows")
        save_checkpoint(Algorithm(4), folder / "checkpoints", curve)


class CampaignState(Folder):
    name = "state of campaigns on resume"

    def build(self, folder):
        trials = (
            finished("libero_goal/0"),
            running("libero_goal/1"),
            failed("libero_goal/2", "it broke"),
        )
        settings = ["name=c", f"output_dir={self.root}", "task=libero_goal/0-3"]
        self.config = load_config([*settings, f"campaign.storage={folder}"], model=CampaignConfig)
        text = yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False)
        store(folder, *trials, config=text)
        write_json(folder / "campaign.json", {"mlflow_uri": None, "dashboard": "http://x:1"})
        mine = self.root / "mine"
        mine.mkdir()
        (mine / "a").write_text("a")
        Sync(Storage(str(folder)), self.root, [mine], "mirror/c.json").upload()

    def act_status(self, folder):
        campaign = read_campaign(str(folder))
        render_board(campaign)
        with contextlib.redirect_stdout(io.StringIO()):
            print_status(campaign)
        campaign.as_json()

    def act_go_on(self, folder):
        storage = Storage(str(folder), patience_s=0)
        states = read_states(storage, self.config.tasks)
        section = self.config.campaign.model_copy(update={"storage": str(folder)})
        config = self.config.model_copy(update={"campaign": section})
        _claim(storage, config, begun=any(states.values()))

    def act_mirror(self, folder):
        root = self.root / "other"
        sync = Sync(Storage(str(folder), patience_s=0), root, [root / "mine"], "mirror/c.json")
        shutil.rmtree(root, ignore_errors=True)
        (root / "mine").mkdir(parents=True)
        sync.download()


class Hdf5(Folder):
    name = "HDF5 demonstrations"

    def build(self, folder):
        rng = np.random.default_rng(0)
        path = folder / f"{get_task('libero_goal/3').name}_demo.hdf5"
        with h5py.File(path, "w") as file:
            data = file.create_group("data")
            for number in range(3):
                group = data.create_group(f"demo_{number}")
                group["actions"] = rng.uniform(-1, 1, (20, 7))
                group["states"] = rng.normal(size=(20, 79))
                group.attrs["num_settle_steps"] = 5
                group.attrs["model_file"] = "<mujoco><body name='a' pos='0 0 0'/></mujoco>"

    def act_read(self, folder):
        for path in folder.iterdir():
            found, problems = read_hdf5(path)
            for each in found:
                expect(np.isfinite(each.actions).all(), "actions that are not finite")
                expect(np.abs(each.actions).max() <= 1, "actions out of range")
                expect(np.isfinite(each.init_state).all(), "a state that is not finite")
                expect(each.actions.shape[1] == 7 and len(each.actions), "actions of another width")
            expect(found or problems, "nothing said")

    def act_find(self, folder):
        find_sources("libero_goal", str(folder))


FOLDERS = (Dataset, Compact, Results, Expert, Vla, UnfinishedVla, State, CampaignState, Hdf5)
