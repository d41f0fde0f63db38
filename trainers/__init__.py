"""Trainers and the `assistmimic` command; installs as `assistmimic_trainers`."""
