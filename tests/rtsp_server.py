"""GStreamer's RTSP server as a program, for the system's Python: plays a clip or records what is sent to it.

rtsp_server.py --port PORT (--play CLIP | --record FOLDER [--sound]) [--user NAME:PASSWORD]
"""

import argparse
import itertools
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PLAY = (
    '( filesrc location="{clip}" ! matroskademux name=file'
    " file.video_0 ! queue ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96"
)
PLAY_SOUND = " file.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97"
RECORD = (
    "( matroskamux streamable=true name=file ! filesink name=target"
    "  rtph264depay name=depay0 ! h264parse config-interval=-1 ! queue ! file."
)
RECORD_SOUND = "  rtpmp4gdepay name=depay1 ! aacparse ! queue ! file."


def has_sound(clip):
    """Whether a Matroska file names AAC among its codecs."""
    with Path(clip).open("rb") as file:
        return b"A_AAC" in file.read(20_000)


def playing(clip):
    """A factory of media that play a clip from its beginning, one for each client."""
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PLAY.format(clip=clip) + (PLAY_SOUND if has_sound(clip) else "") + " )")
    return factory


def recording(folder, sound):
    """A factory of media that write what is sent to them, each to a file of its own."""
    numbers = itertools.count()

    def configure(_factory, media):
        target = media.get_element().get_by_name("target")
        target.set_property("location", str(Path(folder) / f"{next(numbers)}.mkv"))

    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_latency(200)
    factory.set_launch(RECORD + (RECORD_SOUND if sound else "") + " )")
    factory.connect("media-configure", configure)
    return factory


def guard(server, factory, user):
    """Let nobody in who does not know the password."""
    name, _, password = user.partition(":")
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(name, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)


def main():
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", required=True)
    parser.add_argument("--play")
    parser.add_argument("--record")
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--user")
    asked = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(asked.port)
    factory = playing(asked.play) if asked.play else recording(asked.record, asked.sound)
    if asked.user:
        guard(server, factory, asked.user)
    server.get_mount_points().add_factory("/a", factory)
    server.attach(None)
    GLib.MainLoop().run()


main()
