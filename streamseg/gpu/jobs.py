"""What kernels take, field by field as compositors/kernels/*.cuh declare it: one struct each, a "job"."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import numpy as np

Record = np.void
"""A struct: one element of a structured dtype."""


def _struct(**fields: Any) -> np.dtype[np.void]:
    """Lay fields out as C does; a pair is a type and how many of it."""
    return np.dtype(
        [(name, *(kind if isinstance(kind, tuple) else (kind,))) for name, kind in fields.items()], align=True
    )


_i, _f, _p = np.int32, np.float32, np.uint64

COMPONENT = _struct(data=_p, linesize=_i, step=_i, width=_i, height=_i, wide=_i, shift=_i)
ALPHA = _struct(data=_p, width=_i, height=_i)
AXIS = _struct(step=_f, start=_f)
SCORES = _struct(
    data=_p,
    half=_i,
    kind=_i,
    classes=_i,
    alone=_i,
    width=_i,
    height=_i,
    class_step=_i,
    row_step=_i,
    column_step=_i,
)
LAYER = _struct(
    pictures=(COMPONENT, 3), codes=_p, weights=(_f, 3), offset=_f, count=_i, kind=_i, across=_i, down=_i
)

SUM, CLASSES, GRID = range(3)
"""Kinds of a LAYER: weighted samples and a constant; what a table has for class ids or codes; a
coarse grid, scaled up."""

SCORE_KINDS = ("probability", "logits", "labels")
"""Their numbers in SCORES."""

_CODES = _struct(source=_p, to=_p, width=_i, height=_i, columns=_i, rows=_i)
_GAUSS = _struct(codes=_p, between=_p, to=_p, kernel=_p, reach=_i, width=_i, height=_i)
_BLUR = _struct(source=_p, weights=_p, between=_p, to=_p, kernel=_p, fine=_f, reach=_i, columns=_i, rows=_i)

JOBS: Mapping[str, np.dtype[np.void]] = MappingProxyType(
    {
        "network_input": _struct(
            planes=(COMPONENT, 3),
            tensor=_p,
            matrix=(_f, (3, 4)),
            gain=(_f, 3),
            bias=(_f, 3),
            light=_p,
            ordinary=_p,
            primaries=(_f, (3, 3)),
            brightest=_f,
            roots=_f,
            count=_i,
            channels=_i,
            half=_i,
            channels_last=_i,
            width=_i,
            height=_i,
            left=_i,
            top=_i,
            columns=_i,
            rows=_i,
        ),
        "share_of_chosen": _struct(scores=SCORES, chosen=_p, share=_p, broken=_p),
        "matte": _struct(
            share=_p,
            alpha=_p,
            x=AXIS,
            y=AXIS,
            offset=_f,
            gain=_f,
            logits=_i,
            cells_wide=_i,
            cells_high=_i,
            width=_i,
            height=_i,
        ),
        "labels": _struct(
            scores=SCORES, x=AXIS, y=AXIS, labels=_p, alpha=_p, opacities=_p, width=_i, height=_i
        ),
        "resize_codes": _CODES,
        "average_codes": _CODES,
        "smooth_codes": _CODES,
        "look_up": _struct(source=_p, to=_p, table=_p, width=_i, height=_i, linesize=_i, across=_i, down=_i),
        "gauss_across": _GAUSS,
        "gauss_down": _GAUSS,
        "echo": _struct(
            alpha=_p,
            past=_p,
            trace=_p,
            to=_p,
            fade=_f,
            strength=_f,
            width=_i,
            height=_i,
            past_width=_i,
            past_height=_i,
        ),
        "shrink": _struct(plane=COMPONENT, alpha=ALPHA, to=_p, floor=_f, columns=_i, rows=_i, halved=_i),
        "blur_across": _BLUR,
        "blur_down": _BLUR,
        "blend": _struct(
            target=COMPONENT, base=LAYER, over=LAYER, alpha=ALPHA, across=_i, width=_i, largest=_i
        ),
        "veil": _struct(
            source=COMPONENT, target=COMPONENT, transparency=COMPONENT, across=_i, down=_i, black=_i
        ),
        "transparency": _struct(target=COMPONENT, own=COMPONENT, alpha=ALPHA, largest=_i),
    }
)
"""Kernel -> its job."""


def struct(layout: np.dtype[np.void], /, **fields: Any) -> Record:
    """Return a struct; fields left out are zero. Raises ValueError for a field it does not have."""
    made = np.zeros((), layout)
    for name, value in fields.items():
        if isinstance(value, list):
            made[name][: len(value)] = value
        else:
            made[name] = value
    return cast(Record, made[()])
