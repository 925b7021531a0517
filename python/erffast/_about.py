"""Version and citation."""

from __future__ import annotations

from . import _core

__version__: str = _core.build_info()["version"]


def cite() -> str:
    """How to cite erffast and the work it stands on, as BibTeX."""
    return f"""\
@software{{erffast,
  title   = {{erffast: effective receptive fields of convolutional networks}},
  author  = {{{{The erffast developers}}}},
  version = {{{__version__}}},
  year    = {{2026}}
}}

@inproceedings{{luo2016understanding,
  title     = {{Understanding the Effective Receptive Field in Deep Convolutional Neural Networks}},
  author    = {{Luo, Wenjie and Li, Yujia and Urtasun, Raquel and Zemel, Richard}},
  booktitle = {{Advances in Neural Information Processing Systems}},
  volume    = {{29}},
  year      = {{2016}}
}}"""
