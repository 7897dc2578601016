"""Texts that people, files and servers may give: settings, selectors, paths, names, answers."""

import queue
import re
import threading
from pathlib import Path

import msgpack
import numpy as np
import typer.testing
import yaml
from pydantic import BaseModel
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from rl_datagen.cli import app
from rl_datagen.config import (
    AmplifyConfig,
    CampaignConfig,
    CollectionConfig,
    Config,
    EvaluateConfig,
    ImportConfig,
    PaperConfig,
    VlaConfig,
    load_config,
    stored_config,
)
from rl_datagen.config.evaluation import ServerConfig
from rl_datagen.core.disk import disk_error
from rl_datagen.core.errors import UserError, refused_path
from rl_datagen.core.paths import expand_folder, expand_local
from rl_datagen.core.storage import Storage
from rl_datagen.data import names
from rl_datagen.jobs.remote import RemotePolicy
from rl_datagen.tasks import SUITES, TASKS, get_task, select_tasks
from tests.fuzz import damage
from tests.fuzz.judge import expect

MODELS = {
    Config: [],
    CampaignConfig: ["task=libero_goal"],
    CollectionConfig: ["experts=release"],
    AmplifyConfig: [],
    ImportConfig: [],
    EvaluateConfig: ["policy=outputs/x"],
    VlaConfig: ["datasets=outputs/x"],
    PaperConfig: [],
}
WORDS = (
    *("null", "true", "yes", "~", "1e-4", "-1", "0", "inf", ".nan", "1e400", "0x10", "1_000"),
    *("[1, 2]", "[]", "{a: 1}", "{", "[", "'", '"', "&a [*a]", "!!python/object:os.system x"),
    *("2026-11-28", "12:30:45", "- a", "a: b", "%", "@x", "`x`", "|", ">", "\t", "\0", "\x1b[2J"),
    *("\ud800", "é", "名", "👍", "../..", "/etc/passwd", "$HOME", "${X}", "~/x", "~nobody/x"),
    *("s3://", "gs://b", "ftp://a/b", "file:///tmp", "ws://x", "x" * 3000, "9" * 5000, " ", ""),
    *("libero_goal/3", "cuda", "all", "exact", "stock", "egl", "diffusion", "gaussian"),
)


class Text:
    """Generates texts."""

    name: str

    def __init__(self, root):
        self.root = root
        root.mkdir(parents=True)

    def make(self, rng):
        raise NotImplementedError


def word(rng):
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(WORDS)
    if kind < 0.8:
        return rng.choice(WORDS) + rng.choice(WORDS)
    return "".join(
        chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x250)])) for _ in range(9)
    )


def paths(model, prefix=""):
    """Every setting's dotted path."""
    for key, field in model.model_fields.items():
        yield prefix + key
        kinds = getattr(field.annotation, "__args__", (field.annotation,))
        for kind in (field.annotation, *kinds):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from paths(kind, f"{prefix}{key}.")


class Settings(Text):
    name = "settings and overlays"

    def __init__(self, root):
        super().__init__(root)
        self.paths = {model: sorted(set(paths(model))) for model in MODELS}

    def make(self, rng):
        model, given = rng.choice(list(MODELS.items()))
        arguments = [*given, *(self._argument(rng, model) for _ in range(rng.choice([1, 1, 2, 4])))]

        def act():
            config = load_config(arguments, model=model)
            text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
            again = stored_config(text, "config.yaml", model, "Look.")
            expect(again == config, f"{arguments}: stored and read again, it is another")

        return act

    def _argument(self, rng, model):
        path = rng.choice(self.paths[model])
        kind = rng.random()
        if kind < 0.6:
            return f"{path}={word(rng)}"
        if kind < 0.75:
            return rng.choice([f"{path}x={word(rng)}", word(rng), f"{word(rng)}={word(rng)}", path])
        overlay = self.root / f"overlay{rng.choice(['.yaml', '.yml'])}"
        overlay.write_bytes(self._overlay(rng, path))
        return str(overlay)

    def _overlay(self, rng, path):
        value = damage.changed({"a": {"b": 1}}, rng) if rng.random() < 0.5 else word(rng)
        for key in reversed(path.split(".")):
            value = {key: value}
        try:
            content = yaml.safe_dump(value).encode("utf-8", "surrogatepass")
        except (yaml.YAMLError, ValueError, RecursionError):
            content = b"a: ["
        if rng.random() < 0.4:
            found = damage.damaged(content, rng, ".yaml")
            return found if isinstance(found, bytes) else b""
        return content


class Selectors(Text):
    name = "selectors of tasks"

    def make(self, rng):
        part = lambda: rng.choice(  # noqa: E731
            [
                *(rng.choice(TASKS).id, rng.choice(SUITES), rng.choice(TASKS).name, word(rng)),
                f"{rng.choice(SUITES)}/{rng.randrange(-2, 100)}-{rng.randrange(-2, 100)}",
                *(f"{rng.randrange(99)}", f"{rng.randrange(9)}-{rng.randrange(9)}", "all", ""),
            ]
        )
        text = rng.choice([",", ", ", ";"]).join(part() for _ in range(rng.choice([1, 1, 2, 5])))

        def act():
            found = select_tasks(text)
            expect(found and set(found) <= set(TASKS), f"{text!r} selects {len(found)}")
            expect(len(set(found)) == len(found), f"{text!r} selects a task twice")
            expect(all(get_task(task.id) is task for task in found), text)

        return act


class Names(Text):
    name = "names"

    def make(self, rng):
        name = rng.choice(
            [word, lambda r: f"{word(r)}/{word(r)}", lambda r: r.choice(damage.VALUES)]
        )
        value = name(rng)
        check = rng.choice([names.check_name, names.check_relative_path, names.check_task_id])

        def act():
            try:
                found = check(value)
            except ValueError as error:  # which its callers make a paragraph of
                raise UserError(f"the file is refused: {error}. Delete it.") from None
            target = (self.root / found).resolve()
            expect(target.is_relative_to(self.root.resolve()), f"{value!r} leads to {target}")
            expect(target != self.root.resolve(), f"{value!r} is the folder itself")

        return act


class Paths(Text):
    name = "paths and URIs of storages"

    def make(self, rng):
        here = str(self.root)
        text = rng.choice(
            [
                *(word(rng), f"{here}/{word(rng)}", f"file://{here}/{word(rng)}"),
                f"{rng.choice(['s3', 'gs', 'hdfs', 'S3', 'http', ''])}://{word(rng)}"
                "?endpoint_override=127.0.0.1:9&region=x",
            ]
        )
        act = rng.choice([self._storage, self._folder, self._local])
        return lambda: act(text)

    def _storage(self, text):
        storage = Storage(text, patience_s=0)
        if storage._on_disk and Path(storage._root).is_relative_to(self.root):
            storage.check()
            storage.write_text("a/b", "x")
            expect(storage.read_bytes("a/b", "Look.") == b"x", f"{text!r} holds something else")
        expect("a" in storage.uri_of("a"), text)

    def _folder(self, text):
        refusing(expand_folder, text)

    def _local(self, text):
        found = refusing(expand_local, text)
        variable = re.search(r"\$(\w|\{[^}]*\})", found)
        expect("://" not in found and not variable, f"{text!r} is taken as {found!r}")


def refusing(function, text):
    try:
        return function(text)
    except ValueError as error:  # pydantic's validators raise it; the loader says which setting
        raise UserError(f"Setting x: {error}.") from None


class Answers(Text):
    name = "answers of a policy server"
    timeout_s = 0.5

    def __init__(self, root):
        super().__init__(root)
        self._answers = queue.Queue()
        self._server = serve(self._handle, "127.0.0.1", 0, compression=None, max_size=None)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"
        image = np.zeros((1, 32, 32, 3), np.uint8)
        self._seen = {"agentview": image, "wrist": image, "proprio": np.zeros((1, 8), np.float32)}

    def _handle(self, socket):
        try:
            for answer in self._answers.get():
                if answer is None:
                    return
                socket.send(answer)
                socket.recv()
        except ConnectionClosed:
            return

    def make(self, rng):
        greeting = msgpack.packb({"robot": "panda"})
        answers = [greeting if rng.random() < 0.8 else self._answer(rng), self._answer(rng)]
        settings = ServerConfig(timeout_s=self.timeout_s, render_size=32, image_size=32)

        def act():
            self._answers.put(answers)
            policy = RemotePolicy(self._url, settings)
            try:
                policy._instructions[0] = "do it"
                actions = policy.act(self._seen, [0])
            finally:
                policy.close()
            expect(actions.shape == (1, 5, 7) and actions.dtype == np.float32, f"{actions.shape}")

        return act

    def _answer(self, rng):
        shape = rng.choice([(10, 7), (5, 7), (4, 7), (10, 6), (7,), (), (0, 7), (2, 5, 7)])
        kind = rng.choice(["f4", "f8", "i4", "b1", "U1", "O", "c8", "x", "V7", "M8[s]", ">f4"])
        array = {
            b"__ndarray__": True,
            b"data": rng.randbytes(rng.choice([0, 3, 4, 8]) * int(np.prod(shape))),
            b"dtype": kind,
            b"shape": rng.choice([shape, list(shape), "x", None, [-1, 7], [2**40, 7]]),
        }
        actions = rng.choice([array, array, np.zeros((10, 7)).tolist(), *damage.VALUES[:20]])
        if isinstance(actions, dict) and rng.random() < 0.3:
            actions.pop(rng.choice(list(actions)))
        answer = rng.choice([{"actions": actions}, {"actions": actions}, actions, {"a": actions}])
        try:
            content = msgpack.packb(answer)
        except (OverflowError, ValueError, TypeError):
            content = b"\xc1"
        kind = rng.random()
        if kind < 0.3:
            return damage.flips(content, rng)
        return rng.choice([content, content, content, damage.cut(content, rng), "a text", "", None])


class Commands(Text):
    name = "command lines"
    commands = (
        *(["tasks"], ["config", "show"], ["config", "list"], ["config", "schema"], ["expert"]),
        *(
            ["dataset", "info"],
            ["dataset", "verify"],
            ["campaign", "status"],
            ["tables"],
            ["demos"],
        ),
        *(["dataset", "merge"], ["dataset", "compact"], ["dataset", "video"], ["export", "hdf5"]),
        *(
            ["export", "rlds"],
            ["export", "lerobot"],
            ["expert", "pack"],
            ["quality"],
            ["config", "copy"],
        ),
    )

    def make(self, rng):
        given = [self._word(rng) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        options = rng.choice([[], [], ["--json"], ["--quick"], ["--out", self._word(rng)], ["--x"]])
        arguments = [*rng.choice(self.commands), *given, *options]

        def act():
            result = typer.testing.CliRunner().invoke(app, arguments)
            error = result.exception
            if isinstance(error, OSError):
                raise disk_error(error) or refused_path(error) or error
            if error and not isinstance(error, SystemExit):
                raise error
            expect(result.exit_code in (0, 2), f"{arguments}: exit code {result.exit_code}")
            if result.exit_code:
                raise typer.Exit(2)

        return act

    def _word(self, rng):
        inside = f"{self.root}/{rng.choice(['a', 'b', 'x/y', 'é'])}"
        text = rng.choice([inside, inside, word(rng), f"libero_goal/{rng.randrange(12)}"])
        if ("/" in text and not text.startswith((str(self.root), "libero"))) or text.startswith(
            "~"
        ):
            return inside  # nothing is written elsewhere
        return text


TEXTS = (Settings, Selectors, Names, Paths, Answers, Commands)
