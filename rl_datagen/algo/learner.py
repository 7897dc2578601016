"""Updates of policy and critic from decisions, as an RLlib learner."""

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.policy.sample_batch import MultiAgentBatch
from torch import Tensor, distributed

from rl_datagen.algo.bc import Chunks
from rl_datagen.algo.connectors import EXECUTED
from rl_datagen.algo.losses import policy_loss, value_loss
from rl_datagen.algo.minibatches import chains, flat, pairs, shuffled, slice_rows, states, wrap
from rl_datagen.algo.rl_module import CHAIN, CHAIN_LOG_PROB, DENOISING_STEP, LOG_PROB
from rl_datagen.config import AlgoConfig
from rl_datagen.config.types import MANY
from rl_datagen.core.errors import UserError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.schema import CAMERAS
from rl_datagen.policy.augment import shift_images

ACTOR, CRITIC = "actor", "critic"
ITERATION = "iteration"
"""Key in ``timesteps``: finished iterations. Everything that changes over a run is a function of
it, so a restored run resumes exactly where it was."""
_FINAL_LR = 0.1  # of the peak
_BC_BATCH_SIZE = 256  # demonstrated chunks per actor minibatch
_NUM_JUDGED = 64  # shifted decisions whose densities are computed at once


class DPPOLearner(TorchLearner):
    """Fits the critic to the iteration's targets, then improves the policy.

    A minibatch for the policy holds random (decision, denoising step) pairs. In pixel mode it holds
    random decisions, with all pairs of each: an image is encoded once, not K times.

    Policy and critic share nothing and have their own optimisers. The policy's learning rate is
    annealed by a cosine over the whole run; in the first ``num_critic_warmup_iterations`` only the
    critic learns. An iteration ends early once the policy has moved by more than ``target_kl``.

    Several learners hold the same batch, draw the same minibatches and compute a share of each;
    DDP averages their gradients. They do what one learner would.

    Attributes:
        demonstrations: Chunks for ``bc_loss_coeff``.
    """

    demonstrations: Chunks | None = None
    _measured: dict[str, list[Any]]  # of this iteration's minibatches
    _iteration = 0
    _approx_kl = 0.0
    _rank, _num_learners = 0, 1
    _weight = 1.0  # of this learner's share of a minibatch, relative to an even share
    _num_parts, _part = 1, 1.0  # of the share: micro-batches, and how much the current one is of it

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        config: Any = self.config
        self._settings: AlgoConfig = config.settings
        self._num_denoising_steps: int = config.num_denoising_steps
        self._whole_chains: bool = config.whole_chains
        self._random_shift: int = config.random_shift

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Gives policy and critic an optimiser each."""
        del config
        module: Any = self.module[module_id]
        for name, part, lr in (
            (ACTOR, module.policy, self._settings.lr),
            (CRITIC, module.critic, self._settings.critic_lr),
        ):
            parameters = list(part.parameters())
            self.register_optimizer(
                module_id=module_id,
                optimizer_name=name,
                optimizer=torch.optim.Adam(parameters, lr),
                params=parameters,
            )

    def build(self) -> None:
        """Builds the module, and finds this learner's place among several."""
        super().build()
        if self._settings.num_learners > 1:
            self._rank, self._num_learners = distributed.get_rank(), distributed.get_world_size()

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Sets the policy's learning rate for this iteration."""
        self._iteration = timesteps[ITERATION]
        lr = actor_lr(self._settings, self._iteration)
        self._set_optimizer_lr(self.get_optimizer(DEFAULT_MODULE_ID, ACTOR), lr)
        self._measured = defaultdict(list)
        self._measured["actor_lr"].append(lr)

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Logs what was measured, once: RLlib's logger takes as long as a small gradient step."""
        super().after_gradient_based_update(timesteps=timesteps)
        for name, values in self._measured.items():
            numbers = torch.tensor([float(value) for value in values])
            value = numbers.max() if name == "ratio_max" else numbers.mean()
            self.metrics.log_value((DEFAULT_MODULE_ID, name), value.item(), window=1)
        module: Any = self.module[DEFAULT_MODULE_ID].unwrapped()
        module.critic.fitted.fill_(True)

    def _log_steps_trained_metrics(self, batch: Any) -> None:
        """Leaves out RLlib's counts of minibatches, for the same reason."""

    def _create_iterator_if_necessary(
        self,
        *,
        training_data: Any,
        num_total_minibatches: int = 0,
        num_epochs: int = 1,
        minibatch_size: int | None = None,
        shuffle_batch_per_epoch: bool = False,
        **kwargs: Any,
    ) -> Iterator[MultiAgentBatch]:
        """RLlib's one seam for choosing minibatches: it iterates over what this returns."""
        del num_total_minibatches, shuffle_batch_per_epoch, kwargs
        batch = self._make_batch_if_necessary(training_data=training_data)
        columns = batch.policy_batches[DEFAULT_MODULE_ID]
        return self._minibatches(columns, num_epochs, minibatch_size or len(columns[CHAIN]))

    def _minibatches(
        self, columns: dict[str, Any], num_epochs: int, minibatch_size: int
    ) -> Iterator[MultiAgentBatch]:
        """Critic minibatches of decisions, then actor minibatches of pairs or of whole chains."""
        seed = derive_seed("learner", self.config.seed or 0, self._iteration)
        generator = torch.Generator().manual_seed(seed)
        chain = columns[CHAIN]
        self._bc_generator = torch.Generator(chain.device).manual_seed(
            derive_seed("learner bc", self.config.seed or 0, self._iteration, self._rank)
        )
        num, num_steps = len(chain), chain.shape[1] - 1
        for _ in range(self._settings.num_critic_epochs):
            for rows in shuffled(num, self._settings.critic_minibatch_size, generator):
                share = self._share(rows).to(chain.device)
                yield wrap(states(columns, share), len(share))
        if self._iteration < self._settings.num_critic_warmup_iterations:
            return
        if self._random_shift:
            columns = self._shifted(columns)
        pairs_of_row = num_steps if self._whole_chains else 1
        num_rows, size = num * num_steps // pairs_of_row, max(1, minibatch_size // pairs_of_row)
        gather = chains if self._whole_chains else pairs
        for _ in range(num_epochs):
            for rows in shuffled(num_rows, size, generator):
                share = self._share(rows, pairs_of_row).to(chain.device)
                yield wrap(gather(columns, share, num_steps), len(share))
                if self._approx_kl > self._settings.target_kl:
                    return

    def _shifted(self, columns: dict[str, Any]) -> dict[str, Any]:
        """Shifts every image, and has the weights that begin the iteration judge what was done.

        After DPPO: what is learnt from is another image than what was acted on, so ratios refer to
        the density there.
        """
        seed = derive_seed("learner shift", self.config.seed or 0, self._iteration)
        chain, observation = columns[CHAIN], dict(columns[Columns.OBS])
        generator = torch.Generator(chain.device).manual_seed(seed)  # the same for every learner
        for camera in CAMERAS:
            observation[camera] = shift_images(observation[camera], self._random_shift, generator)
        columns = {**columns, Columns.OBS: observation}
        module: Any = self.module[DEFAULT_MODULE_ID].unwrapped()
        num_steps = chain.shape[1] - 1
        with torch.no_grad():
            parts = [
                module.forward_train(chains(columns, rows, num_steps))[LOG_PROB]
                for rows in torch.arange(len(chain), device=chain.device).split(_NUM_JUDGED)
            ]
        return {**columns, CHAIN_LOG_PROB: torch.cat(parts)}

    def _share(self, minibatch: Tensor, pairs_of_row: int = 1) -> Tensor:
        """Returns what this learner computes of a minibatch, and notes how much that weighs."""
        self._approx_kl = 0.0
        size = max(1, (self._settings.micro_batch_size or MANY) // pairs_of_row)
        self._num_parts = math.ceil(len(minibatch) / self._num_learners / size)
        if len(minibatch) < self._num_learners:  # too little to share: everyone computes it
            self._weight = 1.0
            return minibatch
        share = minibatch.tensor_split(self._num_learners)[self._rank]
        self._weight = len(share) * self._num_learners / len(minibatch)
        return share

    def _uncompiled_update(self, batch: dict[str, Any], **kwargs: Any) -> Any:
        """Makes one gradient step; a minibatch that is too large for memory goes part by part.

        RLlib's own step asks every gradient whether it is finite, and a GPU is idle meanwhile. The
        loss is asked instead.
        """
        del kwargs
        columns = batch[DEFAULT_MODULE_ID]
        name = CRITIC if Postprocessing.VALUE_TARGETS in columns else ACTOR
        optimizer: Any = self.get_optimizer(DEFAULT_MODULE_ID, name)
        optimizer.zero_grad(set_to_none=True)
        num = len(next(iter(columns[Columns.OBS].values())))
        fwd_out = loss = {}
        for rows in torch.arange(num).tensor_split(self._num_parts):
            self._part = len(rows) / num
            part = {DEFAULT_MODULE_ID: slice_rows(columns, slice(rows[0], rows[-1] + 1))}
            fwd_out = self.module.forward_train(part)
            loss = self.compute_losses(fwd_out=fwd_out, batch=part)
            (loss[DEFAULT_MODULE_ID] * self._part).backward()
        parameters = optimizer.param_groups[0]["params"]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self._settings.grad_clip)
        self._measured[f"{name}_grad_norm"].append(norm)
        optimizer.step()
        return fwd_out, loss, {}

    def compute_loss_for_module(
        self,
        *,
        module_id: str,
        config: Any = None,
        batch: Any,
        fwd_out: dict[str, Any],
    ) -> Tensor:
        """Returns the critic's or the policy's loss, whichever the minibatch is for.

        Raises:
            UserError: The loss is not finite.
        """
        del config
        if LOG_PROB in fwd_out:
            loss, metrics = self._policy_loss(batch, fwd_out[LOG_PROB])
        else:
            targets = batch[Postprocessing.VALUE_TARGETS]
            loss = value_loss(fwd_out[Columns.VF_PREDS], targets)
            metrics = {"vf_loss": loss}
        values = self._agreed(metrics)
        # The same for every learner, so that all of them stop where one would.
        self._approx_kl += values.get("approx_kl", 0.0) * self._part
        for name, value in values.items():
            if name.endswith("_loss") and not math.isfinite(value):
                raise UserError(
                    f"The {name} is {value} in iteration {self._iteration}: lower algo.lr or "
                    "algo.critic_lr and continue from the last checkpoint."
                )
            self._measured[name].append(value)
        return loss * self._weight

    def _agreed(self, metrics: dict[str, Tensor]) -> dict[str, float]:
        """Returns the metrics of the whole minibatch, of which every learner has a share."""
        values = torch.stack([value.detach() for value in metrics.values()])
        if self._num_learners > 1:
            values = values * (self._weight / self._num_learners)
            distributed.all_reduce(values)
        return dict(zip(metrics, values.tolist(), strict=True))

    def _policy_loss(
        self, batch: dict[str, Any], log_prob: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        result = policy_loss(
            *flat(
                log_prob,
                batch[CHAIN_LOG_PROB],
                batch[EXECUTED],
                batch[Postprocessing.ADVANTAGES],
                batch[DENOISING_STEP],
            ),
            num_denoising_steps=self._num_denoising_steps,
            gamma_denoising=self._settings.gamma_denoising,
            clip_base=self._settings.clip_base,
            clip_param=self._settings.clip_param,
            reduction=self._settings.log_prob_reduction,
        )
        metrics = {
            "policy_loss": result.loss,
            "approx_kl": result.approx_kl,
            "clip_fraction": result.clip_fraction,
            "ratio_mean": result.ratio_mean,
        }
        # Of this learner's share: a maximum cannot be agreed on like the means.
        self._measured["ratio_max"].append(result.ratio_max)
        if not self._settings.bc_loss_coeff:
            return result.loss, metrics
        metrics["bc_loss"] = self._bc_loss()
        return result.loss + self._settings.bc_loss_coeff * metrics["bc_loss"], metrics

    def _bc_loss(self) -> Tensor:
        """Returns the error in predicting a batch of demonstrated chunks, Eq. (1) of the paper."""
        assert self.demonstrations is not None
        shape = (_BC_BATCH_SIZE // self._num_learners,)
        num, generator = len(self.demonstrations), self._bc_generator
        rows = torch.randint(num, shape, generator=generator, device=generator.device)
        chunks = self.demonstrations.take(rows.cpu())
        observation = {key: value.to(rows.device) for key, value in chunks.observation.items()}
        module: Any = self.module[DEFAULT_MODULE_ID].unwrapped()
        return module.policy.loss(observation, chunks.action.to(rows.device), generator)


def actor_lr(settings: AlgoConfig, iteration: int) -> float:
    """Returns the policy's learning rate; the cosine goes from ``lr`` after the warm-up to a tenth.

    To zero, as usual, the last iterations would cost as much as the others and change nothing.
    """
    if settings.lr_schedule == "constant":
        return settings.lr
    warmup = settings.num_critic_warmup_iterations
    progress = max(0, iteration - warmup) / max(1, settings.num_iterations - warmup)
    share = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return settings.lr * (_FINAL_LR + (1 - _FINAL_LR) * share)
