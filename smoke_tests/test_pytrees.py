"""Pytrees: containers that JAX sees through, leaves that it does not, and your own classes.

https://docs.jax.dev/en/latest/101/pytrees.html
https://docs.jax.dev/en/latest/jax.tree_util.html
"""

from __future__ import annotations

import dataclasses
import operator
from collections import OrderedDict, namedtuple
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax, tree_util

Point = namedtuple("Point", ["x", "y"])
PARAMS = {"w": [1.0, 2.0], "b": 3.0}


class Box:
    """A class that JAX has not been told about."""

    def __init__(self, inside: Any, label: str = "") -> None:
        self.inside, self.label = inside, label


@tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    w: jax.Array
    b: jax.Array
    repeats: int = dataclasses.field(default=1, metadata={"static": True})


@tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Config:
    width: int


def test_containers() -> None:
    """Lists, tuples, dicts, named tuples and ordered dicts are containers."""
    tree = [1, (2, {"k": 3}), Point(4, 5), OrderedDict(z=6, a=7)]
    leaves, structure = jax.tree.flatten(tree)
    assert leaves == [1, 2, 3, 4, 5, 6, 7]
    rebuilt = jax.tree.unflatten(structure, leaves)
    assert rebuilt == tree
    assert type(rebuilt[2]) is Point
    with pytest.raises(ValueError, match="Too few leaves"):
        jax.tree.unflatten(structure, leaves[:-1])


def test_leaves() -> None:
    """All else is a leaf: sets, strings, subclasses of dict, classes not registered."""

    class MyDict(dict):  # type: ignore[type-arg]  # a bare subclass is the point
        pass

    tree = [{1, 2}, "text", MyDict(k=1), box := Box(1)]
    assert jax.tree.leaves(tree) == [{1, 2}, "text", {"k": 1}, box]


def test_leaf_under_jit() -> None:
    """A leaf that is no array cannot go through jit."""
    with pytest.raises(TypeError, match="as an abstract array"):
        jax.jit(lambda box: box)(Box(1.0))


def test_none_is_no_leaf() -> None:
    """None is an empty container, unless `is_leaf` says otherwise."""
    tree = [1, None, 2]
    assert jax.tree.leaves(tree) == [1, 2]
    assert jax.tree.leaves(tree, is_leaf=lambda v: v is None) == tree
    assert jax.tree.map(lambda v: v + 1, tree) == [2, None, 3]
    with pytest.raises(ValueError, match="NoneType"):
        jax.tree.map(operator.add, tree, [1, 5, 2])


def test_flatten_order() -> None:
    """A dict is flattened in the order of its sorted keys, an ordered dict in its own."""
    assert jax.tree.leaves({"b": 1, "a": 2}) == [2, 1]
    assert jax.tree.leaves(OrderedDict(b=1, a=2)) == [1, 2]
    assert len({jax.tree.structure({"b": 1, "a": 2}), jax.tree.structure({"a": 1, "b": 2})}) == 1
    with pytest.raises(ValueError, match="sorting pytree dictionary keys"):
        jax.tree.leaves({"a": 1, 2: 3})


def test_map_mismatch() -> None:
    """`jax.tree.map` wants trees of one structure, and says where they part."""
    doubled = jax.tree.map(operator.add, PARAMS, PARAMS)
    assert doubled == {"w": [2.0, 4.0], "b": 6.0}
    with pytest.raises(ValueError, match=r"(?s)different types at key path.*\['w'\]"):
        jax.tree.map(operator.add, PARAMS, {"w": (1.0, 2.0), "b": 3.0})
    with pytest.raises(ValueError, match="different lengths of list"):
        jax.tree.map(operator.add, [1, 2], [1])
    with pytest.raises(ValueError, match="different pytree metadata"):
        jax.tree.map(operator.add, {"a": 1}, {"b": 1})


def test_map_prefix() -> None:
    """The first tree may be a prefix: its leaf then meets a whole subtree, not the reverse."""
    assert jax.tree.map(lambda a, b: (a, b), [1, 2], [[3, 4], 5]) == [(1, [3, 4]), (2, 5)]
    with pytest.raises(ValueError, match="key path"):
        jax.tree.map(lambda a, b: (a, b), [[3, 4], 5], [1, 2])


def test_transpose() -> None:
    """A list of dicts transposes to a dict of lists, if the structures are as said."""
    steps = [{"loss": 1, "norm": 2}, {"loss": 3, "norm": 4}]
    outer, inner = jax.tree.structure([0, 0]), jax.tree.structure({"loss": 0, "norm": 0})
    assert jax.tree.transpose(outer, inner, steps) == {"loss": [1, 3], "norm": [2, 4]}
    assert jax.tree.transpose(outer, None, steps) == {"loss": [1, 3], "norm": [2, 4]}
    with pytest.raises(TypeError, match="Mismatch"):
        jax.tree.transpose(jax.tree.structure([0, 0, 0]), inner, steps)


def test_key_paths() -> None:
    """Each leaf has a path, which `keystr` writes as Python would reach it."""
    pairs, _ = jax.tree.flatten_with_path({"a": [1, Point(2, 3)]})
    paths = [path for path, _ in pairs]
    assert [tree_util.keystr(path) for path in paths] == ["['a'][0]", "['a'][1].x", "['a'][1].y"]
    assert tree_util.keystr(paths[1], simple=True, separator="/") == "a/1/x"
    assert paths[0] == (tree_util.DictKey("a"), tree_util.SequenceKey(0))


def test_register_node() -> None:
    """`register_pytree_node` says how to take a class apart and put it together, once."""

    class Registered(Box):
        pass

    def flatten(box: Registered) -> tuple[tuple[Any], str]:
        return (box.inside,), box.label

    def unflatten(label: str, children: tuple[Any]) -> Registered:
        return Registered(*children, label)

    assert len(jax.tree.leaves(Registered([1, 2]))) == 1  # not yet: the object is a leaf
    tree_util.register_pytree_node(Registered, flatten, unflatten)
    mapped = jax.tree.map(lambda v: v * 10, Registered([1, 2], "kept"))
    assert (mapped.inside, mapped.label) == ([10, 20], "kept")
    with pytest.raises(ValueError, match="Duplicate"):
        tree_util.register_pytree_node(Registered, flatten, unflatten)


def test_register_class() -> None:
    """`register_pytree_node_class` reads the same two rules from the class itself."""

    @tree_util.register_pytree_node_class
    class Registered(Box):
        def tree_flatten(self) -> tuple[tuple[Any], str]:
            return (self.inside,), self.label

        @classmethod
        def tree_unflatten(cls, label: str, children: tuple[Any]) -> Registered:
            return cls(*children, label)

    doubled = jax.jit(lambda box: jax.tree.map(lambda v: v * 2, box))(Registered(3.0, "kept"))
    assert (doubled.inside.item(), doubled.label) == (6.0, "kept")
    # A subclass is a type of its own, and so a leaf.
    assert len(jax.tree.leaves(type("Sub", (Registered,), {})([1, 2]))) == 1


def test_register_with_keys() -> None:
    """`register_pytree_with_keys` also names the children; without it they have numbers."""

    class Named(Box):
        pass

    class Numbered(Box):
        pass

    tree_util.register_pytree_with_keys(
        Named,
        lambda box: (((tree_util.GetAttrKey("inside"), box.inside),), None),
        lambda _, children: Named(*children),
    )
    tree_util.register_pytree_node(
        Numbered, lambda box: ((box.inside,), None), lambda _, children: Numbered(*children)
    )
    pairs, _ = jax.tree.flatten_with_path([Named(1), Numbered(2)])
    paths = [tree_util.keystr(path) for path, _ in pairs]
    assert paths == ["[0].inside", "[1][<flat index 0>]"]


def test_register_dataclass() -> None:
    """`register_dataclass` makes fields children, and the static ones part of the structure."""
    layer = Layer(jnp.ones(2), jnp.zeros(2), repeats=3)
    assert len(jax.tree.leaves(layer)) == 2
    other = dataclasses.replace(layer, repeats=4)
    assert len({jax.tree.structure(layer), jax.tree.structure(other)}) == 2
    # `range` takes it: a static field is a plain number under jit.
    summed = jax.jit(lambda layer: sum(layer.w for _ in range(layer.repeats)))(layer)
    assert summed.tolist() == [3.0, 3.0]
    with pytest.raises(jax.errors.TracerIntegerConversionError):
        jax.jit(lambda layer: range(layer.b[0].astype(int)))(layer)


def test_register_fields() -> None:
    """`register_dataclass` wants every field to be data or static."""

    @dataclasses.dataclass
    class Pair:
        a: int
        b: int

    with pytest.raises(ValueError, match="Missing fields"):
        tree_util.register_dataclass(Pair, data_fields=["a"], meta_fields=[])
    tree_util.register_dataclass(Pair, data_fields=["a"], meta_fields=["b"])
    assert jax.tree.leaves(Pair(1, 2)) == [1]


def test_register_static() -> None:
    """`register_static` makes a class all structure: no leaves, and static under jit."""
    assert jax.tree.leaves(Config(3)) == []
    assert jax.jit(lambda config: jnp.zeros(config.width))(Config(3)).shape == (3,)
    with pytest.raises(TypeError, match="Shapes must be 1D sequences of concrete values"):
        jax.jit(lambda config: jnp.zeros(config["width"]))({"width": 3})


def test_through_jit() -> None:
    """A pytree goes into jit and comes out as one; a new structure is traced anew."""
    structures = []

    @jax.jit
    def double(tree: Any) -> Any:
        structures.append(jax.tree.structure(tree))
        return jax.tree.map(lambda v: v * 2, tree)

    assert jax.tree.map(float, double(PARAMS)) == {"w": [2.0, 4.0], "b": 6.0}
    double(jax.tree.map(lambda v: v + 1, PARAMS))
    double({**PARAMS, "w": (1.0, 2.0)})
    assert len(structures) == 2


def test_through_grad() -> None:
    """A gradient has the structure of what it is taken for; every leaf must be a float."""
    layer = Layer(jnp.array([1.0, 2.0]), jnp.zeros(2), repeats=3)
    gradient = jax.grad(lambda layer: jnp.sum(layer.w**2 * layer.repeats + layer.b))
    grads = jax.jit(gradient)(layer)
    assert isinstance(grads, Layer)
    assert (grads.w.tolist(), grads.b.tolist()) == ([6.0, 12.0], [1.0, 1.0])
    with pytest.raises(TypeError, match="real- or complex-valued inputs"):
        jax.grad(lambda tree: tree["w"] * tree["n"])({"w": 1.0, "n": 2})


def test_through_vmap() -> None:
    """`in_axes` may be a tree as well; mapped leaves share one size."""

    def scale(tree: dict[str, Any]) -> Any:
        return tree["row"] * tree["by"]

    rows = jnp.arange(3.0)
    scaled = jax.vmap(scale, in_axes=({"row": 0, "by": None},))({"row": rows, "by": 2.0})
    assert scaled.tolist() == [0.0, 2.0, 4.0]
    with pytest.raises(ValueError, match="inconsistent sizes"):
        jax.vmap(scale)({"row": rows, "by": jnp.ones(2)})


def test_through_scan() -> None:
    """A scan's carry may be a tree, which must come out as it went in."""
    start = {"total": jnp.zeros(()), "count": jnp.zeros((), jnp.int32)}

    def step(carry: Any, v: jax.Array) -> tuple[Any, Any]:
        return {"total": carry["total"] + v, "count": carry["count"] + 1}, None

    def forgets(carry: Any, v: jax.Array) -> tuple[Any, Any]:
        return {"total": carry["total"] + v}, None

    end, _ = lax.scan(step, start, jnp.array([1.0, 2.0, 3.0]))
    assert jax.tree.map(lambda v: v.item(), end) == {"total": 6.0, "count": 3}
    with pytest.raises(TypeError, match="carry"):
        lax.scan(forgets, start, jnp.ones(3))
