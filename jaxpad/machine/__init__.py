"""What this machine is, and what JAX makes of it."""
