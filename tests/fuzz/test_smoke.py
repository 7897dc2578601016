"""A few inputs of each kind; ``make fuzz`` gives minutes to them."""

import random

import pytest

from tests.fuzz import damage
from tests.fuzz.__main__ import KINDS
from tests.fuzz.folders import CampaignState, Expert, Results, State, UnfinishedVla
from tests.fuzz.judge import WrongError, judge, sound

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_some_inputs_of_each_kind_are_accepted_or_refused(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maker = kind(tmp_path / "fuzz")
    for number in range(20):
        verdict, _, said = judge(maker.make(random.Random(f"smoke-{number}")))
        assert verdict == "clean", (number, said)


@pytest.mark.parametrize("kind", [State, CampaignState, UnfinishedVla, Results, Expert])
def test_what_is_not_damaged_is_gone_on_from(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maker = kind(tmp_path / "fuzz")
    for act in maker.acts:
        damage.copy(maker.sound, maker.work)
        assert judge(lambda act=act: act(maker.work)) == ("clean", True, "")


def test_a_judge_tells_four_verdicts_apart(monkeypatch):
    def lie():
        raise WrongError("another value")

    def wait():
        while True:
            pass

    monkeypatch.setattr("tests.fuzz.judge.SECONDS", 1)
    acts = (lambda: None, lambda: 1 / 0, wait, lie)
    assert [judge(act)[0] for act in acts] == ["clean", "traceback", "hang", "silent"]
    assert sound("The file is refused: it is empty. Delete it.")
    assert not sound("it is\nbroken: all of it")
