"""The page of a comparison; set RL_DATAGEN_SAMPLE_COMPARISON to keep it and look at it."""

import csv
import json
import os
import re
import shutil
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from PIL import Image
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.core.errors import UserError
from rl_datagen.data import DatasetWriter
from rl_datagen.report.comparison import compare
from rl_datagen.report.comparison_report import write_comparison
from rl_datagen.report.plots import consistency_plot, distribution_plot, hand_paths

SOURCES = {
    "human": (1, 150, 6e-4, 5),
    "amplified": (12, 150, 8e-4, 0),
    "gaussian_rl": (12, 125, 1e-3, 0),
    "diffusion_rl": (12, 118, 2e-4, 0),
}
TASKS = ("libero_goal/3", "libero_object/0")
OUTCOMES = (("good", "supported"), ("bad", "not supported"), ("soft", "not measured"))


@pytest.fixture(scope="module")
def datasets(tmp_path_factory, make_episode):
    folder = tmp_path_factory.mktemp("datasets")
    for source, (count, length, tremor, still) in SOURCES.items():
        with DatasetWriter(folder / source, config={}) as writer:
            for task in (*TASKS, *(("libero_90/7",) if source == "human" else ())):
                episodes = [
                    make_episode(
                        source, i, length=length + i, tremor=tremor, still=still, task=task
                    )
                    for i in range(count)
                ]
                writer.append(episodes, num_attempts=None if source == "human" else count + 3)
    return folder


@pytest.fixture(scope="module")
def comparison(datasets):
    return compare([datasets])


@pytest.fixture(scope="module")
def report(tmp_path_factory, comparison):
    folder = tmp_path_factory.mktemp("report")
    write_comparison(folder, comparison)
    if keep := os.environ.get("RL_DATAGEN_SAMPLE_COMPARISON"):
        shutil.copytree(folder, keep, dirs_exist_ok=True)
    return folder


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


class Links(HTMLParser):
    """Collects everything a browser would load."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def handle_starttag(self, tag, attrs):
        self.loaded += [v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset")]
        self.loaded += [tag] if tag in ("link", "script", "iframe", "object", "embed") else []


@pytest.mark.slow
def test_the_page_loads_nothing(report):
    page = (report / "index.html").read_text()
    links = Links()
    links.feed(page)
    assert links.loaded
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links.loaded)
    assert not re.search(r"@import|url\((?!#)", page)


def test_the_page_shows_verdicts_rows_and_what_is_left_out(report):
    page = (report / "index.html").read_text()
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for words in (
        "Quality of episodes: Human, Amplified, Gaussian RL, Diffusion RL",
        "Diffusion RL has shorter episodes than human demonstrations supported",
        "Diffusion RL has actions more alike than human demonstrations not measured",
        "Human libero_90/7",
        "open the top drawer and put the bowl inside",
        "80%",
    ):
        assert words in text, words
    outcomes = [page.count(f'class="{mark}">{word}') for mark, word in OUTCOMES]
    assert outcomes == [9, 1, 2]


def test_no_figure_is_empty(report):
    page = (report / "index.html").read_text()
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(figures) == 2 + 2 * len(TASKS)
    ids = []
    for figure in figures:
        root = ElementTree.fromstring(figure)
        colors = re.findall(r"#(?:e8772e|8a94a6|2ea36a|3b82f6)", figure)
        assert len(set(colors)) == 4  # every source is drawn
        ids += [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for image in (report / "figures").glob("*.png"):
        assert len(Image.open(image).convert("RGB").getcolors(1 << 24)) > 50
    for name in ("length", "mean_squared_jerk", *(f"paths-{t.replace('/', '-')}" for t in TASKS)):
        for kind in ("png", "svg", "csv"):
            assert (report / "figures" / f"{name}.{kind}").is_file()


def test_numbers_come_before_verdicts(report):
    page = (report / "index.html").read_text()
    assert page.index("Every source") < page.index("The paper says, we measure")


def test_unusual_episodes_are_named_with_their_video_or_its_command(tmp_path, make_episode):
    dataset = tmp_path / "<b>set"  # a name that is markup, too
    episodes = [make_episode("diffusion_rl", i, length=118 + i % 5) for i in range(12)]
    odd = [make_episode("diffusion_rl", 100 + i, length=300) for i in range(2)]
    with DatasetWriter(dataset, config={}) as writer:
        writer.append([*episodes, *odd])
    (dataset / "videos").mkdir()
    (dataset / "videos" / f"{odd[0].episode_id}.mp4").write_bytes(b"video")
    table = write_comparison(tmp_path / "out", compare([dataset]))
    assert {each["episode_id"] for each in table["outliers"]} == {e.episode_id for e in odd}
    assert {each["dataset"] for each in table["outliers"]} == {str(dataset)}
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count('src="data:video/mp4;base64,dmlkZW8="') == 1
    assert page.count("rl-datagen dataset video") == 1
    assert f"--episode {odd[1].episode_id}" in page
    assert "long: 300 env steps, where the median is 120" in page
    assert "<b>" not in page


def test_a_page_without_unusual_episodes_does_not_mention_any(report):
    assert json.loads((report / "quality.json").read_text())["outliers"] == []
    assert "Unusual episodes" not in (report / "index.html").read_text()


def test_figures_and_their_tables_agree(report, comparison):
    rows = read_csv(report / "figures" / "length.csv")
    (axes,) = distribution_plot(comparison.sources, "length").figure.axes
    drawn = [x for line in axes.lines if line.get_color() != "#010203" for x in line.get_xdata()]
    assert sorted(drawn) == sorted(float(row["length"]) for row in rows)
    assert len(rows) == len(TASKS) * 37
    means = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"][1::2]
    tabled = {row.source: row.estimates["length"].mean for row in comparison.rows()[:4]}
    assert means == list(tabled.values())

    sources = [source.over([TASKS[0]]) for source in comparison.sources]
    rows = read_csv(report / "figures" / "consistency-libero_goal-3.csv")
    panels = consistency_plot(sources).figure.axes
    for panel, source in zip(panels, sources, strict=True):
        own = [row for row in rows if row["source"] == source.source]
        x, y = panel.lines[0].get_data()
        assert x == pytest.approx([float(row["phase"]) for row in own])
        assert y == pytest.approx([float(row["y_mean"]) for row in own])
        if source.source != "human":  # one episode: no band
            (band,) = panel.collections
            high = [float(row["y_mean"]) + float(row["y_std"]) for row in own]
            assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(max(high))

    rows = read_csv(report / "figures" / "paths-libero_goal-3.csv")
    above = hand_paths(sources).figure.axes[0]
    assert max(float(row["y"]) for row in rows) >= max(above.lines[0].get_xdata())
    own = [row for row in rows if row["source"] == "amplified" and row["path"] == "0"]
    assert above.lines[0].get_xdata() == pytest.approx([float(row["y"]) for row in own])


def test_tables_hold_the_rows(report, comparison):
    table = json.loads((report / "quality.json").read_text())
    assert table["left_out"] == {"libero_90/7": ["human"]}
    assert len(table["datasets"]) == 4
    rows = read_csv(report / "quality.csv")
    assert len(rows) == len(table["rows"]) == len(comparison.rows()) == 5 * 4
    diffusion = next(row for row in table["rows"] if row["source"] == "diffusion_rl")
    assert diffusion["success"]["rate"] == pytest.approx(24 / 30)
    assert float(rows[3]["length_mean"]) == diffusion["estimates"]["length"]["mean"] == 123.5
    assert rows[0]["action_std_y"] == rows[0]["num_attempts"] == ""


@pytest.mark.slow
def test_a_folder_with_something_else_is_refused_and_a_report_replaced(tmp_path, comparison):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="holds files but no report"):
        write_comparison(tmp_path, comparison)
    with pytest.raises(UserError, match="is a file"):
        write_comparison(tmp_path / "notes.txt", comparison)
    (tmp_path / "quality.json").touch()
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "paths-libero_10-1.png").touch()
    write_comparison(tmp_path, comparison)
    assert not (tmp_path / "figures" / "paths-libero_10-1.png").exists()


@pytest.mark.slow
def test_the_command_prints_verdicts_or_json(tmp_path, datasets):
    arguments = ["quality", str(datasets), "--task", "libero_goal", "--out", str(tmp_path / "out")]
    printed = CliRunner().invoke(app, arguments).stdout
    assert "not measured" in printed
    assert f"{tmp_path / 'out' / 'index.html'}" in printed
    table = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert table == json.loads((tmp_path / "out" / "quality.json").read_text())
    assert table["tasks"] == ["libero_goal/3"]
