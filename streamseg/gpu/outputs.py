"""What is no plain picture, on the card: what is cut out, and class ids. Beside compositors/outputs.py."""

from __future__ import annotations

from streamseg.compositors.outputs import alpha_canvas
from streamseg.compositors.planes import Canvas, planar_kin
from streamseg.frame import LabelMap
from streamseg.gpu.mattes import CardAlpha, Table
from streamseg.gpu.slot import Slot
from streamseg.gpu.surface import Surface, blank, plane, plane_sizes
from streamseg.pictures import Plane


def keeps_planes(canvas: Canvas) -> bool:
    """Whether what is cut out of a picture has the planes of the picture, and a transparency."""
    return planar_kin(alpha_canvas(canvas).format) == canvas.format


def cut_out(
    slot: Slot, name: str, surface: Surface, alpha: CardAlpha, kin: Canvas, *, own: Plane | None
) -> tuple[int, int]:
    """Queue a picture with alpha, black where transparent; return address and size of the buffer `name`.

    `kin`: of what is made, with as many colour planes as the surface. `own`: the alpha the picture came with.
    """
    size = kin.width, kin.height
    (*colours, transparency), address, length = blank(slot, name, kin, [*plane_sizes(kin), size])
    given = {}
    if own is not None:
        given = {"own": plane(slot.upload("own alpha", [own])[0], kin.width, kin.height, own.itemsize)}
    slot.launch(
        "transparency", size, target=transparency, alpha=alpha.record(), largest=kin.shape.largest, **given
    )
    for index, (source, target) in enumerate(zip(surface.components, colours, strict=True)):
        across, down = kin.shape.step if index else (1, 1)
        slot.launch(
            "veil",
            (int(target["width"]), int(target["height"])),
            source=source,
            target=target,
            transparency=transparency,
            across=across,
            down=down,
            black=kin.codes((0, 0, 0))[index],
        )
    return address, length


def looked_up(slot: Slot, labels: CardAlpha, table: Table, size: tuple[int, int], step: int) -> LabelMap:
    """Class ids by a table, every `step`th column and row; `size` (w, h). They are there after the wait."""
    to = slot.memory("looked up", size[0] * size[1])
    slot.launch(
        "look_up",
        size,
        source=labels.address,
        to=to,
        table=slot.table("ids", table),
        width=size[0],
        height=size[1],
        linesize=labels.width,
        across=step,
        down=step,
    )
    return slot.download("looked up", to, size[0] * size[1]).reshape(size[::-1])
