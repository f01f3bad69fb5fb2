"""The options of `streamseg run` and the texts of its help; each option is a line of 80 characters."""

from __future__ import annotations

from typing import Any

import click

from streamseg.cli.help import Option
from streamseg.cli.values import bitrate, names, number, size, whole
from streamseg.sources import HWACCELS

READ, SEE, NETWORK = "What to read", "What to see", "Which network"
STORE, RUNNING = "How to store", "Running"
"""Groups of options."""

SUMMARY = """Find the people in a video and show them as a silhouette, cut out, on another background.

A file, a camera, a stream or the screen goes in; a file, a window or a stream comes out. Pictures keep
their time, size and colour, and the sound is kept. Defaults stand in [brackets]."""

BLOCKS = (
    (
        "Examples",
        """
streamseg run talk.mp4 -o out.mp4                     black figure on white
streamseg run talk.mp4 -o out.mp4 --effect replace --background beach.jpg
streamseg run talk.mp4 -o cut.mov --effect cutout     transparent background
streamseg run photos/ -o masks/ --effect mask         a folder of pictures
streamseg run 0                                       the camera, in a window
streamseg run 0 -o rec.mp4 -o web:8080 --effect blur  record and control
streamseg run test: -o try.mp4 --duration 5           without camera or clip
""",
    ),
    (
        "SOURCE [the first camera]",
        """
talk.mp4  photo.jpg  photos/  'shots/*.png'  a file, a folder, a pattern
0  camera:Logitech  /dev/video2              a camera, by number, name or path
rtsp://...  rtmp://...  http://...           a stream
-                                            standard input
screen:  screen:window=TITLE                 the screen, one window of it
test:640x480@30,10s  demo:                   a drawn figure, a moving portrait
""",
    ),
    (
        "SINK [a window]",
        """
out.mp4  .mkv .webm .mov .gif .png .jpg ...  a file, as its extension says
masks/  out/%05d.png                         a folder, numbered pictures
rtmp://...  rtsp: udp: tcp: http:            a stream
live/index.m3u8  http://.../index.m3u8       HLS: a folder, a stream
window  window:2  vcam:                      a window, a virtual camera
web:8080                                     a page in the browser
-  null:                                     standard output, nothing
""",
    ),
    (
        "Effects",
        """
silhouette  black figure on white          outline    a line around the person
cutout      transparent around the person  spotlight  grey around the person
replace     another background             trail      the figure and its echo
blur        blurred background             mask       the person's opacity
overlay     class colours on the picture   labels     the class of each pixel
""",
    ),
    (
        "Keys in the window",
        """
1..9 0 effects   i invert   + - feather   t threshold   c class   m model
h help   p panic   z freeze   space pause   s snapshot   f fullscreen   q quit
""",
    ),
)


def run_parameters() -> list[click.Parameter]:
    """Return SOURCE and all options, in the order the help shows them."""
    return [
        click.Argument(["source"], required=False),
        *_reading(),
        *_seeing(),
        *_network(),
        *_storing(),
        Option(["--profile"], RUNNING, "NAME", "start from options saved earlier", told="none", **_profile()),
        Option(["--save-profile"], RUNNING, "NAME", "save the options given here, and run", told="no"),
        Option(["--control"], RUNNING, None, "take commands on standard input, a line each"),
        Option(["--report"], RUNNING, "FILE", "write what was measured as JSON", told="none"),
        Option(["-q", "--quiet"], RUNNING, None, "say nothing but errors"),
    ]


def _profile() -> dict[str, Any]:
    """Read before all others, which it gives values to."""

    def load(ctx: click.Context, _option: click.Parameter, name: str | None) -> str | None:
        if name is not None:
            from streamseg.cli.profile import load

            load(ctx, name)
        return name

    return {"is_eager": True, "callback": load}


def _reading() -> list[click.Parameter]:
    positive = number(above=0)
    live = "live sources"
    decoders = click.Choice(HWACCELS)
    return [
        Option(["--live/--no-live"], READ, None, "drop frames rather than lag", default=None, told=live),
        Option(["--latency-budget"], READ, "MS", "ease a live run that is later", type=positive, told="none"),
        Option(["--duration"], READ, "SECONDS", "stop after so long", type=positive, told="all"),
        Option(["--size"], READ, "WxH", "ask camera, screen or test: for it", type=size, told="as it comes"),
        Option(["--fps"], READ, "RATE", "likewise, in frames a second", type=positive, told="as it comes"),
        Option(["--hwaccel"], READ, "NAME", "decode on a GPU: off, auto, cuda", type=decoders, default="off"),
        Option(
            ["--read-timeout"],
            READ,
            "SECONDS",
            "a stream or camera has failed after",
            type=positive,
            default=5.0,
        ),
        Option(
            ["--reconnect"], READ, "N", "attempts in a row to get it back", type=whole(low=0), told="no limit"
        ),
    ]


def _seeing() -> list[click.Parameter]:
    pixels = number(low=0)
    share = number(low=0, high=1)
    fits = click.Choice(["crop", "pad", "stretch"])
    return [
        Option(["--effect"], SEE, "NAME", "one of those above", default="silhouette"),
        Option(["--background"], SEE, "COLOR|PATH", "colour, picture or looped video", told="by effect"),
        Option(["--background-fit"], SEE, "FIT", "crop, pad or stretch it", type=fits, default="crop"),
        Option(["--color"], SEE, "COLOR", "of the figure: red, '#00b140'", told="by effect"),
        Option(["--classes"], SEE, "NAME,...", "what counts: dog,person or all", type=names, told="by model"),
        Option(["--invert"], SEE, None, "swap figure and background"),
        Option(["--threshold"], SEE, "0..1", "hard edges, cut at this opacity", type=share, told="soft"),
        Option(["--feather"], SEE, "PIXELS", "soften edges by so much", type=pixels, default=0.0),
        Option(["--outline-width"], SEE, "PIXELS", "in a picture 1080 lines high", type=pixels, told="8"),
        Option(["--blur-strength"], SEE, "PIXELS", "in a picture 1080 lines high", type=pixels, told="20"),
    ]


def _network() -> list[click.Parameter]:
    share = number(low=0, high=1)
    failing = click.Choice(["hide", "show", "stop"])
    crops, edges = click.Choice(["auto", "off"]), click.Choice(["off", "guided"])
    precisions = click.Choice(["fp16", "fp32", "int8"])
    model = "a name from `streamseg models`, or a file"
    return [
        Option(["--model"], NETWORK, "NAME|PATH", model, default="selfie"),
        Option(["--runtime"], NETWORK, "NAME", "auto, tensorrt, onnxruntime, null (a disc)", default="auto"),
        Option(
            ["--precision"], NETWORK, "NAME", "of TensorRT: fp16, fp32, int8", type=precisions, told="fp16"
        ),
        Option(["--crop"], NETWORK, "auto|off", "look closely at small figures", type=crops, default="auto"),
        Option(["--refine"], NETWORK, "off|guided", "edges as in the picture", type=edges, default="off"),
        Option(["--smooth"], NETWORK, "0..1", "calm flicker; more lags more", type=share, told="by model"),
        Option(
            ["--fail"],
            NETWORK,
            "hide|show|stop",
            "no matte: background, camera, end",
            type=failing,
            default="hide",
        ),
        Option(
            ["--threads"],
            NETWORK,
            "N",
            "processor threads it may use",
            type=whole(low=1),
            told="half, at most 4",
        ),
    ]


def _storing() -> list[click.Parameter]:
    quality = "quality: lower is better and bigger"
    return [
        Option(
            ["-o", "--output", "sinks"], STORE, "SINK", "may be given often", multiple=True, told="window"
        ),
        Option(["--codec"], STORE, "NAME", "h264, vp9, prores, ffv1, libx265, ...", told="by extension"),
        Option(["--crf"], STORE, "N", quality, type=whole(low=0, high=63), told="by codec"),
        Option(["--preset"], STORE, "NAME", "the encoder's own: veryfast, slow", told="by codec"),
        Option(["--bitrate"], STORE, "RATE", "bits a second: 800k, 4M", type=bitrate, told="by quality"),
        Option(["-y", "--overwrite"], STORE, None, "replace files that exist"),
    ]
