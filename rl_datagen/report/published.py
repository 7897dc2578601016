"""The paper's own success rates in percent (arXiv:2509.19752, Tables I and II).

pi0, fine-tuned on one source of data; 50 evaluated episodes per task. The mean is over suites.
"""

MEAN = "mean"

_IN_DISTRIBUTION = (
    "libero_spatial",
    "libero_object",
    "libero_goal",
    "libero_10",
    "libero_90",
    MEAN,
)
_ZERO_SHOT = ("libero_10", "libero_goal", "libero_object", MEAN)

TABLE_I: dict[str, dict[str, float]] = {
    source: dict(zip(_IN_DISTRIBUTION, rates, strict=True))
    for source, rates in {
        "human": (73.40, 92.00, 83.20, 66.00, 68.60, 76.64),
        "gaussian_rl": (80.40, 61.80, 82.40, 47.00, 75.00, 69.32),
        "diffusion_rl": (83.40, 99.00, 83.80, 63.00, 80.49, 81.94),
    }.items()
}
"""Success by what the VLA learnt from, then by suite; trained and evaluated on the same tasks."""

TABLE_II: dict[str, dict[str, float]] = {
    source: dict(zip(_ZERO_SHOT, rates, strict=True))
    for source, rates in {
        "human": (0.00, 0.00, 4.40, 1.47),
        "diffusion_rl": (1.40, 0.00, 4.80, 2.06),
        "human+diffusion_rl": (4.60, 5.60, 5.40, 5.20),
    }.items()
}
"""Likewise, trained on LIBERO-90 alone."""
