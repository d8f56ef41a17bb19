"""What the performance table in the README is generated from; each module says how."""
