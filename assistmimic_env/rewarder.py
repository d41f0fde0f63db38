"""``Rewarder``: errors against the reference and the reward of both people of N worlds, after a control step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import contact, rewards
from .body import BodySpec
from .config import ROLE_NAMES, EnvConfig
from .hands import Hands
from .reference import Goal, Reference
from .retargeting import reference_gap
from .reward_terms import RewardContext, reward_terms
from .tracking import Tracker, Tracking
from .worlds import Motion

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]


class Rewarder:
    """Computes rewards. A term with weight 0 is not computed and changes no bit, except the user's own terms.

    Args:
        reference: Where the people should be.
        body: Names of their bodies.
        config: Weights and sensitivities.
        hands: The supporter's hands.
    """

    def __init__(self, reference: Reference, body: BodySpec, config: EnvConfig, hands: Hands) -> None:
        self._config = config
        self._reference = reference
        self._body = body
        self._hands = hands
        self._tracker = Tracker(reference, body, config.reward)
        self._extra = reward_terms(config.reward.extra)
        self._unjudged = [role for role, name in enumerate(ROLE_NAMES) if config.judged not in ("both", name)]
        if config.contact.active:
            self._ref_gap = reference_gap(reference, hands).min(axis=-1)

    @property
    def wants_previous_action(self) -> bool:
        """Whether a term of the user's may look at the action before the last one."""
        return bool(self._extra)

    def reward(
        self,
        motion: Motion,
        clip: Ids,
        row: Ids,
        *,
        target: Goal | None,
        contact_force: Array,
        torque: Array,
        joint_velocity: Array,
        diverged: Bools,
        frame: Ids,
        action: Array,
        previous_action: Array,
    ) -> tuple[Array, dict[str, Array], Tracking]:
        """Errors and rewards of N worlds.

        Args:
            motion: How the people move now.
            clip: Clips that are played, shape (N,).
            row: Reference rows of the present time, shape (N,).
            target: Where tracking wants them, if not at the reference.
            contact_force: See ``RewardContext``, like the following ones.
            torque: Shape (N, 2, 3 (J - 1)) [N m].
            joint_velocity: Shape (N, 2, 3 (J - 1)) [rad/s].
            diverged: Worlds whose numbers mean nothing; they get 0, shape (N,).
            frame: Shape (N,).
            action: Shape (N, 2, 3 (J - 1)).
            previous_action: Shape (N, 2, 3 (J - 1)).

        Returns:
            Reward, shape (N, 2); its terms before weighting, name -> (N, 2); the errors.
        """
        terms: dict[str, Array] = {}
        weight = None
        if self._config.contact.active:
            weight, terms["contact"], terms["excess"] = self._support(motion, clip, row, contact_force)
        tracking = self._tracker.track(motion, row, target=target, weight=weight)
        tracking.tracking_error[:, self._unjudged] = 0.0
        power = rewards.joint_power(torque, joint_velocity)
        config = self._config.reward
        reward = rewards.weigh(tracking.terms, config) - config.power * power
        imitation = {name: tracking.terms[..., i] for i, name in enumerate(rewards.IMITATION_TERMS)}
        terms = {**imitation, "power": power, **terms}
        self._add_assistance(reward, terms, tracking)
        if self._extra:
            context = RewardContext(
                body=self._body, clip=clip, frame=frame, motion=motion, reference=self._reference, row=row,
                tracking=tracking, contact_force=contact_force, torque=torque, joint_velocity=joint_velocity,
                action=action, previous_action=previous_action,
            )  # fmt: skip
            self._add_extra(reward, terms, context, diverged)
        if config.coupling > 0.0:
            reward[:, 0] = (1.0 - config.coupling) * reward[:, 0] + config.coupling * reward[:, 1]
        if diverged.any():
            reward[diverged] = 0.0
        return reward, terms, tracking

    def _support(self, motion: Motion, clip: Ids, row: Ids, contact_force: Array) -> tuple[Array, Array, Array]:
        """Weight of every body in tracking, shape (N, 2, J), and the contact terms, shape (N, 2) each."""
        role, bodies, config = self._hands.role, self._hands.bodies, self._config.contact
        gap = self._hands.gap(motion.position, motion.matrix, clip).min(axis=-1)
        near = contact.nearness(gap, self._ref_gap[row], config)
        force = -contact_force[:, role, bodies].sum(axis=-2)
        weight = np.ones(contact_force.shape[:-1])
        weight[:, role, bodies] -= near[..., None]
        both = np.zeros((2, len(row), 2))
        both[0, :, role], both[1, :, role] = contact.contact_terms(gap, near, force, config)
        return weight, both[0], both[1]

    def _add_assistance(self, reward: Array, terms: dict[str, Array], tracking: Tracking) -> None:
        config = self._config
        if config.contact.active:
            reward += config.contact.weight * terms["contact"] - config.contact.excess * terms["excess"]
        if config.reward.assist > 0.0:
            height = np.exp(-config.reward.assist_scale * tracking.height_error**2)
            terms["assist"] = np.repeat(height[:, None], 2, axis=1)
            reward += config.reward.assist * terms["assist"]

    def _add_extra(self, reward: Array, terms: dict[str, Array], context: RewardContext, diverged: Bools) -> None:
        for term in self._extra:
            terms[term.name] = term.evaluate(context, diverged)
            if term.weight != 0.0:
                reward += term.weight * terms[term.name]
