"""The paper's own success rates (arXiv:2509.19752), as far as they could be sourced.

Its abstract: a VLA trained on diffusion RL data alone reaches 81.9 % on average, 5.3 percentage
points more than on human data and 12.6 more than on Gaussian RL data. The tables' other cells were
not at hand; they are shown as not available, never guessed.
"""

AVERAGES = {"human": 0.766, "gaussian_rl": 0.693, "diffusion_rl": 0.819}
"""Average success rate by what the VLA learnt from, in Table I's setting; two of the three follow
from the stated differences."""
