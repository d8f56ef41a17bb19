"""A training program to start from: put your own model and data in its place.

    python -m <this package>.train --steps 200 --out runs/first

`model` has the network, `data` the batches, `state` the optimizer's step, `train` the program
and the two workloads that `jaxpad profile.explain` and `profile.tune` compile and time.
"""
