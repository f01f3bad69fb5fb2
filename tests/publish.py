"""A program that sends a clip to an address in real time, from the beginning to the end, over and over.

publish.py CLIP ADDRESS [SPEED]
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction

import av

_FORMATS = {"rtmp": "flv", "rtsp": "rtsp"}


def publish(clip: str, address: str, speed: float) -> None:
    """Copy packets until the server leaves."""
    format_name = _FORMATS.get(address.partition(":")[0], "mpegts")
    with av.open(clip) as source, av.open(address, "w", format=format_name) as target:
        streams = {
            stream.index: target.add_stream_from_template(stream)
            for stream in source.streams
            if stream.type in ("video", "audio")
        }
        begin, moved = time.monotonic(), Fraction(0)
        while True:
            end = Fraction(0)
            for packet in source.demux():
                if packet.dts is None:
                    continue
                tick = Fraction(packet.time_base)
                end = max(end, packet.dts * tick + (packet.duration or 0) * tick)
                left = begin + float(packet.dts * tick + moved) / speed - time.monotonic()
                time.sleep(max(0.0, left))
                packet.dts += round(moved / tick)
                packet.pts = packet.dts if packet.pts is None else packet.pts + round(moved / tick)
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
            moved += end
            source.seek(0)


if __name__ == "__main__":
    publish(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 1.0)
