"""HLO's operations by what they cost: https://openxla.org/xla/operation_semantics."""

from __future__ import annotations

# One FLOP for each element they yield.
ARITHMETIC = frozenset(
    {
        "abs",
        "add",
        "and",
        "atan2",
        "cbrt",
        "ceil",
        "clamp",
        "compare",
        "cosine",
        "divide",
        "erf",
        "exponential",
        "exponential-minus-one",
        "floor",
        "log",
        "log-plus-one",
        "logistic",
        "maximum",
        "minimum",
        "multiply",
        "negate",
        "not",
        "or",
        "power",
        "remainder",
        "round-nearest-afz",
        "round-nearest-even",
        "rsqrt",
        "select",
        "shift-left",
        "shift-right-arithmetic",
        "shift-right-logical",
        "sign",
        "sine",
        "sqrt",
        "subtract",
        "tan",
        "tanh",
        "xor",
    }
)
REDUCTIONS = frozenset({"reduce", "reduce-window"})
PRODUCTS = frozenset({"dot", "scaled-dot"})
SLICES = frozenset({"dynamic-slice", "slice", "gather"})
VIEWS = frozenset({"bitcast", "tuple", "get-tuple-element"})
# What they compute depends on data or on a library.
UNCOUNTED = frozenset(
    {
        "cholesky",
        "fft",
        "map",
        "rng",
        "rng-bit-generator",
        "select-and-scatter",
        "sort",
        "topk",
        "triangular-solve",
    }
)
# They write into their first operand, here the number of the operand that says how much.
UPDATES = {"dynamic-update-slice": 1, "scatter": -1}
CALLERS = frozenset({"while", "call", "conditional"})
# They launch nothing on the GPU, or run other instructions.
NO_KERNEL = frozenset(
    {
        "parameter",
        "constant",
        "tuple",
        "get-tuple-element",
        "bitcast",
        "after-all",
        "add-dependency",
        "while",
        "call",
        "conditional",
        "async-update",
        "async-done",
        "copy-done",
        "opt-barrier",
        "domain",
        "partition-id",
        "replica-id",
        "get-dimension-size",
    }
)
