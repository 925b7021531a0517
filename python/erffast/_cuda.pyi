from typing import Any

from ._core import ImagesF32 as ImagesF32
from ._core import ImagesF64 as ImagesF64
from ._core import outer_f32 as outer_f32
from ._core import outer_f64 as outer_f64
from ._core import propagate_f32 as propagate_f32
from ._core import propagate_f64 as propagate_f64
from ._core import propagate_x64 as propagate_x64

def devices() -> dict[str, Any]: ...
def free_memory() -> tuple[int, int]: ...
