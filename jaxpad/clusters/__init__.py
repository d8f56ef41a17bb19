"""Smoke runs on a cluster, Slurm or Kubernetes: every node by itself, then all that passed."""
