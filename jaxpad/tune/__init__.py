"""Search the XLA flags of a space for the profile that makes one program really faster.

Candidates are compiled first: what XLA refuses, what breaks, what does not fit and what comes
out as the same program is never measured. Each distinct program is then held to the baseline,
turn by turn in two processes, and the best one is measured again afresh before it is named.
What the words mean is in docs/tune.md. Nothing here imports JAX in the calling process.
"""
