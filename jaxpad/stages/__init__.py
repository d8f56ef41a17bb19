"""The two stages of a smoke run on a cluster, whichever engine runs them.

Every node is tested by itself, then one run goes over all that passed. The engines, slurm and
kubernetes, say what happens with a `Told` and answer with a `Whole`.
"""

from jaxpad.stages._told import Told, some
from jaxpad.stages._whole import Second, Whole, blamed

__all__ = ["Second", "Told", "Whole", "blamed", "some"]
