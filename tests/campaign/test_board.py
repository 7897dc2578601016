from html.parser import HTMLParser

import pytest

from rl_datagen.campaign.board import render_board, write_board
from rl_datagen.campaign.links import links
from rl_datagen.campaign.state import Successes, TrialState, write_state
from rl_datagen.campaign.status import STATES, Campaign
from rl_datagen.core.storage import Storage
from rl_datagen.data import DatasetWriter
from rl_datagen.tasks import SUITES, TASKS

AFTER = Successes(45, 50)


class Page(HTMLParser):
    """Tags with their attributes, and the text of each cell of each row."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.rows = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def find(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def trials():
    """All tasks, in all states by turns."""
    made = []
    for place, task in enumerate(TASKS):
        state = STATES[place % len(STATES)]
        values = {} if state == "pending" else {"iteration": 4, "env_steps": 1000, "seconds": 360.0}
        if state in ("finished", "stopped"):
            values["success_after"] = AFTER
        made.append(TrialState(task.id, state=state, num_iterations=10, **values))
    return made


def test_failed_and_running_tasks_come_first_then_the_others_suite_by_suite(trials):
    page = Page(render_board(Campaign("all", "outputs/campaigns/all", trials)))
    rows = [attrs for attrs in page.find("tr") if "data-state" in attrs]
    urgent = [t for state in ("failed", "running") for t in trials if t.state == state]
    others = [trial for trial in trials if trial not in urgent]
    assert [row["data-state"] for row in rows] == [trial.state for trial in urgent + others]
    shown = [row[0] for row in page.rows[1:]]
    assert all(t.task in text for t, text in zip(urgent + others, shown, strict=True))
    folds = [attrs for attrs in page.find("details") if attrs.get("class") == "suite"]
    assert [fold["id"] for fold in folds] == list(SUITES)
    assert not any("open" in fold for fold in folds)
    assert {attrs["data-state"] for attrs in page.find("button") if "data-state" in attrs} == set(
        STATES
    )
    assert len({len(row) for row in page.rows}) == 1  # as many cells in each row


def test_the_page_loads_nothing(trials):
    page = Page(render_board(Campaign("all", "folder", trials), every=7))
    attributes = [attrs for _, attrs in page.tags]
    assert not any("src" in attrs or attrs.get("href") for attrs in attributes)
    assert {"http-equiv": "refresh", "content": "7"} in attributes
    policy = next(a for a in attributes if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy["content"]


def test_what_trials_say_is_escaped(trials):
    error = "</td></script><script>alert('x')</script>\n\"<img src=x onerror='alert(1)'>"
    trials[3] = TrialState(trials[3].task, state="failed", stage="<b>", error=error)
    links = (("MLflow", 'http://h/"><script>'), ("Ray dashboard", "javascript:alert(1)"))
    page = Page(render_board(Campaign("<script>", "<script>", trials, links=links)))
    assert len(page.find("script")) == 1
    assert not page.find("img")
    assert [attrs["href"] for attrs in page.find("a")] == ['http://h/"><script>']
    assert any("</td></script><script>alert('x')</script>" in row[0] for row in page.rows if row)


def test_success_before_and_after_has_intervals_and_a_sparkline_of_few_points():
    trial = TrialState(
        "libero_goal/3",
        state="running",
        num_iterations=1000,
        iteration=900,
        success_before=Successes(22, 50),
        evaluated=[(10 * i, 0.5) for i in range(1, 91)],
        sampled=[(i, 0.25) for i in range(1, 901)],
    )
    page = Page(render_board(Campaign("c", "f", [trial])))
    assert page.rows[1][2] == "44% 31-58"
    sampled, evaluated = (attrs["points"].split() for attrs in page.find("polyline"))
    assert len(sampled) <= 60
    assert len(evaluated) <= 60
    assert sampled[-1] == evaluated[-1].replace(",13.0", ",19.5")


def test_a_suite_alone_is_open_and_says_how_far_it_is():
    trials = [TrialState("libero_goal/3", state="finished"), TrialState("libero_goal/4")]
    html = render_board(Campaign("c", "f", trials))
    (fold,) = (a for a in Page(html).find("details") if a.get("class") == "suite")
    assert "open" in fold
    assert "1 of 2 finished" in html
    assert "1 pending" in html
    assert "Nothing runs, and nothing has failed." in html


def test_pictures_are_in_the_page(trials):
    page = Page(render_board(Campaign("c", "f", trials), pictures={trials[5].task: b"jpeg"}))
    assert [attrs["src"] for attrs in page.find("img")] == ["data:image/jpeg;base64,anBlZw=="]


def test_links_lead_to_what_a_trial_has_left(tmp_path, make_trajectory):
    folder, task = tmp_path / "out puts" / "campaigns" / "mine", "libero_goal/3"
    expert = folder.parents[1] / "experts" / task / "mine"
    expert.mkdir(parents=True)
    (expert / "learning_curve.json").touch()
    for name, experts in (("of-it", "mine"), ("of-others", "other")):
        path = folder.parents[1] / "datasets" / name
        with DatasetWriter(path, config={"experts": experts}) as writer:
            writer.append([make_trajectory(0, task=task)])
    (folder.parents[1] / "datasets" / "damaged").mkdir()
    (folder.parents[1] / "datasets" / "damaged" / "manifest.json").write_text("{")
    for each in (task, "libero_goal/4"):
        write_state(Storage(str(folder)), TrialState(each, iteration=2))
    write_board(str(folder))
    page = folder / "board" / "index.html"
    found = [attrs["href"] for attrs in Page(page.read_text("utf-8")).find("a")]
    assert len(found) == 3
    targets = [(page.parent / href).resolve() for href in found]
    assert targets == [
        expert,
        expert / "learning_curve.json",
        folder.parents[1] / "datasets" / "of-it",
    ]


def test_a_campaign_in_a_remote_storage_has_no_links(trials):
    assert not any(links(Campaign("c", "s3://bucket/c", trials)).values())


def test_cost_appears_with_a_price_only(trials):
    assert "Cost" not in render_board(Campaign("c", "f", trials))
    page = Page(render_board(Campaign("c", "f", trials, cost_per_hour=20.0)))
    assert page.rows[0][8] == "Cost"
    assert page.rows[1][8] == "2.00"  # a tenth of an hour
    assert len({len(row) for row in page.rows}) == 1


def test_the_board_is_written_into_the_campaign(tmp_path):
    write_state(Storage(str(tmp_path)), TrialState("libero_goal/3"))
    assert write_board(str(tmp_path)) == f"{tmp_path}/board/index.html"
    assert "libero_goal/3" in (tmp_path / "board" / "index.html").read_text("utf-8")
