"""The reference programs, one file each; importing one imports JAX.

Each has `program(mesh, sizes=FULL)`, which returns a jitted function and its abstract
arguments, and `TINY`: sizes in fp32 that run on CPU devices in a second.
"""
