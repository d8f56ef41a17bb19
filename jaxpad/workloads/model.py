"""What a workload is, as plain data; nothing here imports JAX before it is asked to."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import json
import math
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jaxpad.core import paths
from jaxpad.core.paths import settings, sources
from jaxpad.core.results import UsageError
from jaxpad.core.text import did_you_mean, listed

if TYPE_CHECKING:
    from jax.sharding import Mesh


@dataclass(frozen=True)
class Program:
    """A jitted function and its abstract arguments.

    `args` holds trees of `jax.ShapeDtypeStruct`, each with a sharding on the mesh that the
    program was made for.
    """

    jitted: Any
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Workload:
    """A reference JAX program: a function from a mesh to a program.

    `devices` is "partitions x hosts x devices per host", such as "1x2x8", as
    `jaxpad.schedule.aot.topology` takes it, `axes` the mesh's axes with the size of each, and
    `sources` the files whose text decides what the program is.
    """

    name: str
    description: str
    devices: str
    axes: Mapping[str, int]
    sources: tuple[Path, ...]
    build: Callable[[Mesh], Program] = field(repr=False, compare=False)

    @property
    def count(self) -> int:
        """How many devices the workload runs on."""
        return math.prod(int(part) for part in self.devices.split("x"))

    @property
    def per_host(self) -> int:
        """How many of them are in one host, where NVLink joins them."""
        return int(self.devices.rpartition("x")[2])

    def mesh(self, devices: Sequence[Any]) -> Mesh:
        """A mesh of these devices with the workload's axes, the last axis within a host.

        Raises UsageError where they are not as many as the workload wants.
        """
        import numpy as np
        from jax.sharding import Mesh

        if len(devices) != self.count:
            raise UsageError(
                f"{len(devices)} devices for the workload {self.name}, expected {self.count}; "
                f"give it a topology of {self.devices}"
            )
        shaped = np.asarray(devices, dtype=object).reshape(tuple(self.axes.values()))
        return Mesh(shaped, tuple(self.axes))

    def program(self, mesh: Mesh) -> Program:
        """The program for a mesh of `mesh()`'s axes, traced nowhere yet but for a user's own.

        Raises UsageError for a user's function that raises, does not trace, or returns
        something else than a jitted function and its abstract arguments.
        """
        return self.build(mesh)


# What a result about a workload is kept under.


def digest(workload: Workload) -> str:
    """SHA-256, in hexadecimal, of what the workload is: its name, devices, axes and source.

    Of jaxpad's own workloads that is the program's file and those it shares with others, of
    a user's own its module and all of the package that the module is in. Other packages
    which the program uses, JAX among them, are not in it.
    """
    files = [file.read_bytes() for file in dict.fromkeys(workload.sources)]
    said = {
        "name": workload.name,
        "devices": workload.devices,
        "axes": list(workload.axes.items()),
        "sources": [hashlib.sha256(text).hexdigest() for text in files],
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


# Find a workload by its name or by where a user's own is.

# Import a user's module, and say in one sentence what its code does wrong.


def imported(reference: str, name: str) -> ModuleType:
    """The imported module: from the current folder first, as `python -m` would, then from src/."""
    before = list(sys.path)
    sys.path[:0] = [str(Path.cwd()), str(sources())]
    importlib.invalidate_caches()
    try:
        with mistakes(f"{reference}: importing {name}"):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise UsageError(
                f"{reference}: there is no module {missing}; run this in the folder that holds "
                "it, or install it"
            ) from None
        raise UsageError(
            f"{reference}: {name} imports {missing}, which is not there; install it"
        ) from None
    finally:
        sys.path[:] = before


@contextlib.contextmanager
def mistakes(doing: str) -> Iterator[None]:
    """Turns what a user's code raises into one sentence; a module that is not there passes."""
    try:
        yield
    except (UsageError, ModuleNotFoundError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        raise UsageError(
            f"{doing} raises {type(error).__name__}{_where(error)}: {said}; fix it there"
        ) from None


def _where(error: BaseException) -> str:
    """The user's own line, the last that is not in an installed package."""
    if isinstance(error, SyntaxError):
        return f" at {error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parent
    lines = [
        f" at {frame.filename}:{frame.lineno}"
        for frame in frames
        if Path(frame.filename).is_file()
        and ours not in Path(frame.filename).parents
        and "site-packages" not in frame.filename
    ]
    return lines[-1] if lines else ""


# Call a user's function, and hold what it returns to what is expected.


def build(reference: str, function: Callable[[Mesh], Any], mesh: Mesh) -> Program:
    """What the function makes of the mesh, traced once. Raises UsageError as own() says."""
    with mistakes(f"{reference}: calling it"):
        found = function(mesh)
    program = _program(reference, found)
    with mistakes(f"{reference}: tracing it"):
        program.jitted.trace(*program.args)
    return program


def _program(reference: str, found: Any) -> Program:
    if isinstance(found, Program):
        found = (found.jitted, found.args)
    if not isinstance(found, tuple) or len(found) != 2:
        raise UsageError(
            f"{reference} returns {_kind(found)}, expected a jitted function and a tuple of its "
            "abstract arguments; return both"
        )
    jitted, args = found
    if not hasattr(jitted, "trace"):
        raise UsageError(
            f"{reference} returns {_kind(jitted)} first, expected a jitted function; wrap it in "
            "jax.jit"
        )
    if not isinstance(args, tuple):
        raise UsageError(
            f"{reference} returns {_kind(args)} as its arguments, expected a tuple of them; write "
            "(x,) for one"
        )
    _refuse_arrays(reference, args)
    return Program(jitted, args)


def _refuse_arrays(reference: str, args: tuple[Any, ...]) -> None:
    import jax
    import numpy as np

    for leaf in jax.tree.leaves(args):
        if isinstance(leaf, jax.Array | np.ndarray):
            raise UsageError(
                f"{reference} returns an array {leaf.shape} among its arguments, expected abstract "
                "ones; give jax.ShapeDtypeStruct(shape, dtype, sharding=…)"
            )


def _kind(thing: Any) -> str:
    return "nothing" if thing is None else f"a {type(thing).__name__}"


# A user's own workload: `package.module:function`.

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_SHAPE = re.compile(r"[1-9]\d*x[1-9]\d*x[1-9]\d*")


def own(reference: str) -> Workload:
    """The workload that a reference names; its function is not called yet."""
    if not _REFERENCE.fullmatch(reference):
        raise UsageError(
            f"{reference!r} names no workload, expected package.module:function; write it like "
            "'train.steps:fsdp'"
        )
    name, _, attribute = reference.partition(":")
    module = imported(reference, name)
    function = getattr(module, attribute, None)
    if not callable(function):
        raise UsageError(
            f"{reference}: {module.__file__} has no function {attribute}; name one that it has"
        )
    devices = _devices(reference, getattr(function, "devices", 1))
    return Workload(
        name=reference,
        description=(function.__doc__ or "").strip().partition("\n")[0],
        devices=devices,
        axes=_axes(reference, getattr(function, "axes", None), devices),
        sources=_sources(module),
        build=functools.partial(build, reference, function),
    )


def _devices(reference: str, wanted: Any) -> str:
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0:
        return f"1x1x{wanted}"
    if isinstance(wanted, str) and _SHAPE.fullmatch(wanted):
        return wanted
    raise UsageError(
        f"{reference}: its devices are {wanted!r}, expected a number above 0 or partitions x hosts "
        "x devices per host; write it like '1x2x8'"
    )


def _axes(reference: str, wanted: Any, devices: str) -> Mapping[str, int]:
    count = math.prod(int(part) for part in devices.split("x"))
    if wanted is None:
        return {"devices": count}
    sizes = list(wanted.values()) if isinstance(wanted, Mapping) else []
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise UsageError(
            f"{reference}: its axes are {wanted!r}, expected names with sizes; write them like "
            "{'data': 2, 'model': 4}"
        )
    if math.prod(sizes) != count:
        raise UsageError(
            f"{reference}: its axes {dict(wanted)} hold {math.prod(sizes)} devices and its devices "
            f"are {devices}, which is {count}; make them agree"
        )
    return {str(name): size for name, size in wanted.items()}


def _sources(module: ModuleType) -> tuple[Path, ...]:
    """The module's file, and all of the package that it is in."""
    file = Path(str(module.__file__))
    top = sys.modules[module.__name__.partition(".")[0]]
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    return (file, *sorted(path for folder in folders for path in folder.rglob("*.py")))


# The workloads that jaxpad brings: configs/workloads.toml, a program each.

_FOLDER = Path(__file__).parent / "programs"


def _workload(name: str, description: str, axes: dict[str, int], hosts: int = 1) -> Workload:
    module = name.partition("-")[0]
    return Workload(
        name=name,
        description=description,
        devices=f"1x{hosts}x{math.prod(axes.values()) // hosts}",
        axes=axes,
        sources=(_FOLDER / f"{module}.py", *sorted(_FOLDER.glob("_[a-z]*.py"))),
        build=functools.partial(_build, module),
    )


def _build(module: str, mesh: Mesh) -> Program:
    found: Program = importlib.import_module(f"jaxpad.workloads.programs.{module}").program(mesh)
    return found


_TABLES = paths.read_toml(paths.CONFIGS / "workloads.toml")
BUILT_IN = {name: _workload(name, **table) for name, table in _TABLES.items()}


def names() -> tuple[str, ...]:
    """The names of the workloads that jaxpad brings, and of the project's own."""
    return (*BUILT_IN, *settings().workloads)


def load(name_or_reference: str) -> Workload:
    """One workload: a name, or `package.module:function` for a user's own.

    The module is looked for as Python does, in the current folder first; docs/workloads.md
    says what its function gets and returns.

    Raises UsageError for a name that is not known, a module that is not found or does not
    import, and a function that is not in it or says wrongly which devices it wants.
    """
    if ":" in name_or_reference:
        return own(name_or_reference)
    if name_or_reference in settings().workloads:
        return own(settings().workloads[name_or_reference])
    if name_or_reference not in BUILT_IN:
        hint = did_you_mean(name_or_reference, names()) or f"; there are {listed(names())}"
        raise UsageError(
            f"no workload is called {name_or_reference!r} (your own is package.module:function)"
            f"{hint}"
        )
    return BUILT_IN[name_or_reference]
