"""The page of a realistic run; set RL_DATAGEN_SAMPLE_PAGE to keep it and look at it."""

import dataclasses
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from rl_datagen.core.intervals import SuccessRate
from rl_datagen.core.provenance import provenance
from rl_datagen.data import DatasetWriter, dataset_info, read_trajectories, verify, write_video
from rl_datagen.report import plots
from rl_datagen.report.content import ReportContent, VideoClip
from rl_datagen.report.report import write_report
from rl_datagen.report.sources import SourceQuality, measure_sources

CURVE = [
    {"iteration": i + 1, "success_rate": rate, "episode_len_mean": 168 - 7 * i + 3 * (i % 2)}
    for i, rate in enumerate([0.46, 0.5, 0.61, 0.68, 0.74, 0.83, 0.85, 0.89])
]


def cameras(length=40, size=128):
    """A block that a gripper carries across the picture, twice side by side."""
    y, x = np.mgrid[:size, : 2 * size]
    for t in range(length):
        frame = np.stack([120 + x // 4, 110 + y // 3, 100 + 0 * x], axis=-1).astype(np.uint8)
        for offset in (0, size):
            block = (abs(x - offset - 20 - 2 * t) < 9) & (abs(y - 80 + t % 9) < 9)
            frame[block] = (210, 60, 40)
        yield frame


@pytest.fixture(scope="module")
def content(tmp_path_factory, make_episode):
    folder = tmp_path_factory.mktemp("run")
    write_video(folder / "videos/episode.mp4", cameras())
    rng = np.random.default_rng(0)

    def episodes(source, count, length, tremor):
        lengths = rng.normal(length, length / 12, count).astype(int)
        return [
            make_episode(source, i, length=int(n), tremor=tremor) for i, n in enumerate(lengths)
        ]

    path = folder / "datasets/quickstart"
    with DatasetWriter(path, config={"seed": 0}) as writer:
        writer.append(episodes("diffusion_rl", 25, 118, 1.5e-4))
        writer.append([make_episode("diffusion_rl", i, length=115) for i in range(25, 50)])
    return ReportContent(
        task="libero_object/0",
        instruction="pick up the alphabet soup and place it in the basket",
        success_rates=(
            SuccessRate("Before DPPO", 9, 20, 171.3),
            SuccessRate("After DPPO", 18, 20, 121.8),
        ),
        learning_curve=tuple(CURVE),
        sources=measure_sources(
            [
                make_episode("human", 7, length=148, tremor=6e-4, still=12),
                *episodes("amplified", 40, 150, 8e-4),
                *read_trajectories(path),
            ]
        ),
        dataset=dataclasses.replace(dataset_info(path), path=Path("outputs/datasets/quickstart")),
        verification=verify(path),
        videos=(VideoClip(folder / "videos/episode.mp4", "Episode 0, both cameras, as stored."),)
        * 2,
        stage_seconds={
            "demonstrations": 38.2,
            "warm start": 141.0,
            "fine-tuning": 512.4,
            "collection": 74.0,
        },
        provenance=provenance(),
        config_yaml="name: quickstart\ntask: libero_object/0\nalgo:\n  lr: 0.0001\n",
        contrast=tuple(VideoClip(folder / "videos/episode.mp4", f"{w} <i>") for w in ("W", "E")),
        warm_start={"length": 200.0},
        next_steps=(("Export it <b>", "rl-datagen export lerobot 'a <b>' c"),),
        commands=("make quickstart", "rl-datagen dataset verify outputs/datasets/quickstart"),
    )


class Links(HTMLParser):
    """Collects everything a browser would load."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def handle_starttag(self, tag, attrs):
        self.loaded += [
            v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset", "poster")
        ]
        self.loaded += [tag] if tag in ("link", "script", "iframe", "object", "embed") else []


@pytest.fixture(scope="module")
def page(tmp_path_factory, content):
    path = write_report(tmp_path_factory.mktemp("page") / "index.html", content)
    if keep := os.environ.get("RL_DATAGEN_SAMPLE_PAGE"):
        shutil.copy(path, keep)
    return path.read_text()


def test_the_page_loads_nothing(page):
    links = Links()
    links.feed(page)
    assert links.loaded
    assert all(link.startswith(("data:video/mp4;base64,", "#")) for link in links.loaded)
    assert not re.search(r"@import|url\((?!#)", page)


def test_the_page_shows_the_numbers(page, content):
    text = re.sub(r"<[^>]+>", " ", page)
    for words in (
        "pick up the alphabet soup and place it in the basket",
        "90%",
        "18 of 20, interval 70% to 97%; before DPPO: 45%",
        "Passed.",
        "2 shards, 50 episodes",
        "make quickstart",
        "12 min 46 s",
        "CC BY 4.0",
    ):
        assert words in " ".join(text.split()), words
    assert page.count("<video") == 4
    assert page.count("<svg") == 5


def test_the_expert_is_compared_with_what_it_learnt_from(page, content):
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    human, amplified, expert = (s.estimate("length").mean for s in content.sources)
    assert "Length against its demonstrations" in text
    for name, mean in (("amplified", amplified), ("human", human), ("warm start", 200)):
        change = f"{abs(expert / mean - 1):.0%}"
        assert re.search(rf"{name}: {mean:.0f} \(−{change}\)", text), name
    jerk = text[text.index("Jerk against its demonstrations") :][:200]
    assert "amplified" in jerk
    assert "warm start" not in jerk  # it is not known


def test_two_policies_are_shown_from_the_same_start_and_then_what_to_do(page):
    both = page[page.index("The same start, before and after") : page.index("The robot at work")]
    assert both.count("<video") == 2
    assert "W &lt;i&gt;" in both
    following = page[page.index("What to do next") : page.index("Do it again")]
    assert "rl-datagen export lerobot &#39;a &lt;b&gt;&#39; c" in following
    assert "<b>" not in page
    assert "<i>" not in page


def test_figures_are_well_formed_and_take_the_page_colour(page):
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    ids = []
    for figure in figures:
        root = ElementTree.fromstring(figure)
        ids += [element.get("id") for element in root.iter() if element.get("id")]
        assert "currentColor" in figure
        assert "#010203" not in figure
    assert len(ids) == len(set(ids))


def test_text_is_escaped(tmp_path, content):
    evil = "<script>alert(1)</script>"
    hostile = dataclasses.replace(content, instruction=evil, next_steps=((evil, evil),), videos=())
    page = write_report(tmp_path / "index.html", hostile).read_text()
    assert "<script>" not in page


def test_a_run_without_anything_still_has_a_page(tmp_path, content):
    path = tmp_path / "dataset"
    DatasetWriter(path, config={}).close()
    empty = ReportContent(
        task=content.task,
        instruction=content.instruction,
        success_rates=(),
        learning_curve=(),
        sources=(),
        dataset=dataset_info(path),
        verification=verify(path),
    )
    page = write_report(tmp_path / "index.html", empty).read_text()
    assert "<svg" not in page
    assert "<video" not in page


def test_damage_is_shown(tmp_path, content, make_episode):
    path = tmp_path / "dataset"
    with DatasetWriter(path, config={}) as writer:
        writer.append([make_episode("amplified", 0)])
    (path / "shards/libero_object/0/part-00000.parquet").unlink()
    damaged = dataclasses.replace(content, verification=verify(path))
    page = write_report(tmp_path / "index.html", damaged).read_text()
    assert "1 problem." in page
    assert "part-00000.parquet is missing" in page


def test_the_same_content_gives_the_same_figures(content):
    assert plots.hand_paths(content.sources).svg() == plots.hand_paths(content.sources).svg()


def test_plots_of_nothing_are_left_out():
    nothing = (SourceQuality("human", {}),)
    assert plots.distribution_plot(nothing, "length") is None
    assert plots.hand_paths(nothing) is None


def test_a_source_with_one_short_episode(make_episode):
    short = measure_sources([make_episode("human", 0, length=3)])
    assert plots.distribution_plot(short, "mean_squared_jerk", log=True) is None
    assert plots.distribution_plot(short, "length") is not None
