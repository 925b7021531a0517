"""Networks with random weights and inputs, forward and backward: what theory approximates, measured.

`program` turns a network into operations on numbered maps; `schemes` and `inputs` say what is drawn; `drawing` runs draws in parts
that never depend on how they are shared out; `averages` adds the parts up.
"""

from .results import simulate as simulate
