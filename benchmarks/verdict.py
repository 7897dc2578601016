"""How often is the verdict wrong?

What it shows: how often policies of known success are called reliable, unreliable or neither, and
how many episodes that takes, simulated; and, for a real expert, many independent verdicts beside
its success on all their episodes.

How to run it::

    python benchmarks/verdict.py [EXPERT] [--verdicts 20] [--policies 5000]

Results to expect: the table of docs/results.md; the last line is ``RESULT`` and a JSON object.
"""

import argparse
import json
from collections import Counter

from rl_datagen.config import VerdictConfig

import numpy as np

RATES = (0.7, 0.85, 0.92, 0.95, 0.98, 0.99)
WAVE = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("expert", nargs="?")
    parser.add_argument("--verdicts", type=int, default=20)
    parser.add_argument("--policies", type=int, default=5000)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    simulated = {
        rate: judge(lambda num, rate=rate: rng.random(num) < rate, arguments.policies)
        for rate in RATES
    }
    for rate, row in simulated.items():
        print(
            rate,
            row,
            f"20 of 20: {rate**20:.3f}, once in four looks: {1 - (1 - rate**20) ** 4:.3f}",
        )
    result = {"simulated": simulated}
    if arguments.expert:
        outcomes = Outcomes(arguments.expert)
        result["real"] = judge(outcomes, arguments.verdicts)
        result["real"]["success_rate"] = round(float(np.mean(outcomes.seen)), 3)
        result["real"]["num_episodes"] = len(outcomes.seen)
        print(arguments.expert, result["real"])
    print("RESULT", json.dumps(result))


def judge(draw, num_policies: int) -> dict:
    """Shares of the verdicts on so many policies whose episodes ``draw`` runs."""
    settings, verdicts, lengths = VerdictConfig(), Counter(), []
    for _ in range(num_policies):
        successes = episodes = 0
        while episodes < settings.max_episodes:
            wave = min(WAVE, settings.max_episodes - episodes)
            successes += int(draw(wave).sum())
            episodes += wave
            verdict = settings.test.verdict(successes, episodes)
            if verdict != "undecided":
                break
        verdicts[verdict] += 1
        lengths.append(episodes)
    shares = {name: verdicts[name] / num_policies for name in ("reliable", "unreliable")}
    return shares | {"episodes": round(float(np.mean(lengths)), 1)}


class Outcomes:
    """Episodes of an expert, each from an init state of its own."""

    def __init__(self, expert: str) -> None:
        from rl_datagen.policy import load_policy
        from rl_datagen.sim import load_scene
        from rl_datagen.tasks import get_task

        self.policy, self.config, _ = load_policy(expert)
        self.scene = load_scene(get_task(self.config.task), self.config.sim.backend)
        self.seen: list[bool] = []

    def __call__(self, num: int) -> np.ndarray:
        from rl_datagen.policy import ChunkActor
        from rl_datagen.rollout import plan_episode, rollout

        numbers = range(len(self.seen), len(self.seen) + num)
        plans = [plan_episode(self.scene, "benchmark", 0, number, None) for number in numbers]
        episodes = rollout(
            ChunkActor(self.policy),
            self.scene,
            plans,
            source=self.config.policy.source,
            sim=self.config.sim,
        )
        outcomes = np.array([episode.success for episode in episodes])
        self.seen += outcomes.tolist()
        return outcomes


if __name__ == "__main__":
    main()
