"""What came of each stage of an expert and its dataset, in a sentence."""

from collections.abc import Callable

from rl_datagen.pipeline.engine import Summary, plain


def sentence(stage: str, summary: Summary) -> str:
    """Returns what a finished stage found; an earlier release may have noted less of it."""
    try:
        return _OF[stage](summary)
    except KeyError:
        return plain(stage, summary)


def _attempted(found: Summary) -> str:
    length = f", {found['length_mean']:.0f} env steps each" if "length_mean" in found else ""
    return f"{found['episodes']} episodes of {found['attempts']} attempts{length}"


def _cloned(found: Summary) -> str:
    loss = found.get("held_out_loss")
    held_out = "" if loss is None else f", {loss:.3g} on held-out episodes"
    return f"loss {found['train_loss']:.3g}{held_out}"


def _evaluated(found: Summary) -> str:
    low, high = (round(100 * found[f"success_ci_{end}"]) for end in ("low", "high"))
    return f"{found['num_successes']} of {found['num_episodes']} ({low} to {high} %)"


def _polished(found: Summary) -> str:
    if not found:
        return "not needed: nothing was fine-tuned"
    if "verdict" not in found:
        return "left out"
    length = found.get("success_len_mean")
    time = "" if length is None else f" in {length:.0f} env steps"
    kept = "" if found["round"] else "; not changed"
    rate = f"{found['success_rate']:.0%} of {found['num_episodes']}"
    return f"{found['verdict']}: {rate}{time}{kept}"


def _fine_tuned(found: Summary) -> str:
    if not found["iterations"]:
        return "not needed: the policy is reliable already"
    plural = "s" if found["iterations"] > 1 else ""
    budget = "; the budget is used up" if found.get("stopped") else ""
    return f"{found['iterations']} iteration{plural}, {found['env_steps']:,} env steps{budget}"


def _reported(found: Summary) -> str:
    size = found["bytes"] / 1e6
    return f"{found['episodes']} episodes in {found['shards']} shards, {size:.1f} MB, verified"


_OF: dict[str, Callable[[Summary], str]] = {
    "demonstrations": _attempted,
    "warm_start": _cloned,
    "evaluate_before": _evaluated,
    "polish_before": _polished,
    "dppo": _fine_tuned,
    "polish_after": _polished,
    "evaluate_after": _evaluated,
    "collect": _attempted,
    "report": _reported,
}
