"""What one episode is like: how long, how idle, how smooth.

Shapes: ``T`` env steps.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64

from rl_datagen.data.trajectory import CONTROL_FREQUENCY, Source, Trajectory
from rl_datagen.report.consistency import Spread

CUTOFF_FREQUENCY = 10.0  # Hz; Balasubramanian 2015, and the Nyquist frequency at 20 Hz
AMPLITUDE_THRESHOLD = 0.05  # of the spectrum's peak; Balasubramanian 2015
PADDING = 16  # the spectrum is sampled this many times as finely; Balasubramanian 2015


@dataclass(frozen=True)
class EpisodeQuality:
    """The measures of one episode.

    Attributes:
        episode_id: Which episode.
        task: Task id.
        source: What acted.
        success: Whether the goal was reached.
        length: Env steps.
        num_noops: Env steps that move nothing.
        mean_squared_jerk: Of the end-effector path, (m/s^3)^2; NaN under four env steps.
        spectral_arc_length: SPARC of the end-effector speed: negative, nearer to zero is
            smoother; NaN for a hand that does not move.
        path_length: Of the end-effector, m.
        action_variance: What the episode says about the variance of actions over the episodes of
            its task and source; see ``Spread.add``. NaN for the first episode.
        paced_jerk: Mean squared jerk of the same path, played in as many env steps as others of its
            task; see ``at_length``.
        paced_variance: As ``action_variance``, of motions (not the gripper), likewise.
        path_deviation: Distance of the hand from the mean path of its task and source at the same
            share of the length, root mean square, m; NaN until all of these are measured.
    """

    episode_id: str
    task: str
    source: Source
    success: bool
    length: int
    num_noops: int
    mean_squared_jerk: float
    spectral_arc_length: float
    path_length: float
    action_variance: float
    paced_jerk: float
    paced_variance: float
    path_deviation: float = float("nan")

    def at_length(self, length: float) -> "EpisodeQuality":
        """Returns the measures, the paced ones of the episode played in so many env steps.

        A path played ``s`` times as slowly has a velocity of 1/s and a jerk of 1/s^3 at each of
        its points. So no curve has to be resampled, which would smooth it.
        """
        return replace(
            self,
            paced_jerk=self.paced_jerk / length**6,
            paced_variance=self.paced_variance / length**2,
        )


def measure(trajectory: Trajectory, actions: Spread, motions: Spread) -> EpisodeQuality:
    """Returns every measure of an episode, the paced ones at a length of one env step.

    Args:
        trajectory: The episode.
        actions: Of the episodes of its task and source before it; takes it in.
        motions: Likewise, of their motions times their length.
    """
    steps = np.diff(trajectory.ee_pos, axis=0)
    jerk, length = mean_squared_jerk(trajectory.ee_pos), len(trajectory)
    return EpisodeQuality(
        episode_id=trajectory.episode_id,
        task=trajectory.task,
        source=trajectory.source,
        success=trajectory.success,
        length=length,
        num_noops=int(trajectory.noops.sum()),
        mean_squared_jerk=jerk,
        spectral_arc_length=spectral_arc_length(np.linalg.norm(steps, axis=1)),
        path_length=float(np.linalg.norm(steps, axis=1).sum()),
        action_variance=actions.add(trajectory.action),
        paced_jerk=jerk * length**6,
        paced_variance=motions.add(trajectory.action[:, :6] * length),
    )


def mean_squared_jerk(
    ee_pos: Float[np.ndarray, "T 3"], frequency: float = CONTROL_FREQUENCY
) -> float:
    """Returns the mean over time of the squared norm of the jerk (paper, Sec. V).

    The jerk is the third difference of the position times ``frequency ** 3``.

    Args:
        ee_pos: End-effector positions, m.
        frequency: Of the samples, Hz.

    Returns:
        (m/s^3)^2; NaN for fewer than four samples.
    """
    if len(ee_pos) < 4:
        return float("nan")
    jerk = np.diff(ee_pos, n=3, axis=0) * frequency**3
    return float(np.square(jerk).sum(axis=1).mean())


def spectral_arc_length(
    speed: Float[np.ndarray, " T"], frequency: float = CONTROL_FREQUENCY
) -> float:
    r"""Returns SPARC: minus the arc length of the speed's normalised amplitude spectrum.

    Balasubramanian, Melendez-Calderon, Roby-Brami and Burdet 2015, "On the analysis of movement
    smoothness", Eq. (9): over the frequencies from 0 to the last one, at most 10 Hz, whose
    amplitude is at least 5 % of the peak,

        -\int_0^{w_c} \sqrt{(1 / w_c)^2 + (d\hat V / dw)^2} dw

    Args:
        speed: Speed profile in any unit: the spectrum is normalised.
        frequency: Of the samples, Hz.

    Returns:
        Dimensionless; nearer to zero is smoother. NaN for a profile without any motion.
    """
    if not np.any(speed):
        return float("nan")
    size = PADDING * 2 ** int(np.ceil(np.log2(len(speed))))
    spectrum: Float64[np.ndarray, " N"] = np.abs(np.fft.rfft(speed, size))
    spectrum = spectrum[np.fft.rfftfreq(size, 1 / frequency) <= CUTOFF_FREQUENCY]
    spectrum /= spectrum.max()
    last = np.flatnonzero(spectrum >= AMPLITUDE_THRESHOLD)[-1]
    if last == 0:  # a spectrum that is one spike at 0 Hz: no arc
        return 0.0
    return -float(np.hypot(1 / last, np.diff(spectrum[: last + 1])).sum())
