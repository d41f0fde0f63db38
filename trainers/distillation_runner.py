"""`DistillationRunner`: a batched env runner in which teachers act in a share of the steps and label all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ray.rllib.core.columns import Columns

from .batched_runner import BatchedEnvRunner, Observations, Rows
from .distillation import DISTILLATION, Distillation
from .distillation_teachers import Teachers
from .fragment import Sizes

TEACHER, STUDENT = "teacher_actions", "student_acted"
"""Columns: the teacher's mean action, (rows, actions), and 1 where the student's action was executed, (rows,)."""


class DistillationRunner(BatchedEnvRunner):
    """Samples as its base does, but with the teachers' share of the present update.

    In each world and step both roles are the teachers' or both are the students'. The number of the update is that of
    the weights, so that the share survives restarts. Without exploration the students act alone.
    """

    def make_env(self) -> None:
        """Make the vector environment anew and read the teachers for it."""
        super().make_env()
        self.distillation = Distillation.from_dict(self.config.learner_config_dict[DISTILLATION])
        self.teachers = Teachers.load(self.distillation.specialists, self.env.simulation)
        self._mixing = np.random.default_rng(None if self._seed is None else [self._seed, self.worker_index or 0, 1])

    def _policy_rows(self, observation: Observations, explore: bool) -> Rows:
        share = self.distillation.schedule.teacher_share(self._weights_seq_no) if explore else 0.0
        return self._mixed(super()._policy_rows(observation, explore), observation, share)

    def _random_rows(self, observation: Observations) -> Rows:
        return self._mixed(super()._random_rows(observation), observation, 0.0)

    def _mixed(self, rows: Rows, observation: Observations, share: float) -> Rows:
        """The students' rows with both further columns, and the teachers' actions in some worlds.

        A teacher's action has the log-probability 0, as any that is not drawn.
        """
        taught = self.teachers.act(observation, self.env.simulation.clip)
        students = self._mixing.random(self.num_envs) >= share
        for role, columns in rows.items():
            columns[Columns.ACTIONS] = np.where(students[:, None], columns[Columns.ACTIONS], taught[role])
            columns[Columns.ACTION_LOGP] = np.where(students, columns[Columns.ACTION_LOGP], np.float32(0.0))
            columns[TEACHER], columns[STUDENT] = taught[role], students.astype(np.float32)
        return rows

    def _sizes(self) -> dict[str, Sizes]:
        return {
            role: replace(size, further={TEACHER: (size.action,), STUDENT: ()})
            for role, size in super()._sizes().items()
        }
