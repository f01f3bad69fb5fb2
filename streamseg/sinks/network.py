"""Streams out over the network: H.264 with no delay in the container the protocol asks for."""

from __future__ import annotations

from dataclasses import replace

from streamseg.sinks.base import Destination
from streamseg.sinks.containers import CONTAINERS, Container
from streamseg.sinks.media import Direct, MediaSink

_MPEGTS = replace(CONTAINERS[".ts"], b_frames=False, live=True)
_FLV = replace(CONTAINERS[".flv"], live=True)

PROTOCOLS = {
    "rtmp": _FLV,
    "rtmps": _FLV,
    "rtsp": Container(format="rtsp", holds=frozenset({"aac"}), negative=False, b_frames=False, live=True),
    "udp": _MPEGTS,
    "tcp": _MPEGTS,
}

_WHOLE_PACKETS = "pkt_size=1316"
"""Seven packets of 188 bytes to a datagram: a lost one does not break its neighbours."""


class NetworkSink(MediaSink):
    """A live stream to a server or a listener."""

    kind = "a stream"

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError for a codec the protocol cannot carry; connects at the first frame."""
        protocol = destination.uri.partition(":")[0].lower()
        address = destination.uri
        if protocol == "udp" and "pkt_size=" not in address:
            address += ("&" if "?" in address else "?") + _WHOLE_PACKETS
        self._set_up(destination, PROTOCOLS[protocol], f"{protocol}:", Direct(), address)
