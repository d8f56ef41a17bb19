"""Run each check file in a child of its own and give every check a verdict."""

from jaxpad.runner._child import argv as argv
from jaxpad.runner._environ import for_file as for_file, for_jax as for_jax
from jaxpad.runner._filed import rates as rates, trace as trace
from jaxpad.runner._plan import LIMIT as LIMIT, Plan as Plan, Watcher as Watcher
from jaxpad.runner._run import run as run
from jaxpad.runner._suite import Check as Check, collect as collect, select as select
