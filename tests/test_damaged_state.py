"""Whatever has become of a file of state: resuming works, or one paragraph says what to do."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.folders import CampaignState, Expert, Results, State, UnfinishedVla, Vla
from tests.fuzz.judge import judge

pytestmark = pytest.mark.filterwarnings("ignore")
KINDS = {CampaignState: 60, Expert: 25, Results: 40, State: 80, UnfinishedVla: 40, Vla: 25}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_going_on_from_damaged_state(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maker = kind(tmp_path / "damaged")

    @settings(
        max_examples=KINDS[kind],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def check(rng):
        verdict, _, said = judge(maker.make(rng))
        assert verdict == "clean", said

    check()
