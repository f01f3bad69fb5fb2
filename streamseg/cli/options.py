"""The options of `streamseg run` and the texts of its help."""

from __future__ import annotations

import click

from streamseg.cli.help import Option
from streamseg.cli.values import bitrate, names, number, size, whole
from streamseg.effects import EFFECTS

READ, SEE, NETWORK = "What to read", "What to see", "Which network"
STORE, RUNNING = "How to store", "Running"
"""Groups of options."""

SUMMARY = """Find the people in a video and show them as a silhouette, cut out, on another background.

A file, a camera, a stream or the screen goes in; a file, a window or a stream comes out. Pictures keep
their time, size and colour, and the sound is kept."""

BLOCKS = (
    (
        "Examples",
        """
streamseg run talk.mp4 -o out.mp4                       black figure on white, sound kept
streamseg run talk.mp4 -o out.mp4 --effect replace --background beach.jpg
streamseg run talk.mp4 -o cut.mov --effect cutout       transparent around the person (.webm too)
streamseg run photos/ -o masks/ --effect mask           every picture of a folder
streamseg run 0                                         the camera, in a window
streamseg run 0 -o rec.mp4 -o window --effect blur      record and watch
streamseg run test: -o try.mp4 --duration 5             no camera, no clip: a drawn figure
""",
    ),
    (
        "SOURCE (default: the first camera)",
        """
talk.mp4  photo.jpg  photos/  'shots/*.png'    a video, a picture, a folder, a pattern
0  camera:1  /dev/video2                       a camera
rtsp://...  http://...                         a stream
-                                              standard input
screen:  test:640x480@30,10s  demo:            the screen, a drawn figure, a portrait in motion
""",
    ),
    (
        "SINK (default: a window)",
        """
out.mp4  .mkv .webm .mov .gif .png .jpg ...    a file, its kind given by the extension
masks/  out/%05d.png                           a folder, numbered pictures
window  -  null:                               a window, standard output, nothing (measuring)
rtmp://...  udp://...                          a stream
""",
    ),
    (
        "Effects",
        """
silhouette  black figure on white              outline    a line around the person
cutout      transparent around the person      spotlight  grey and dim around the person
replace     another background                 trail      the figure and its echo
blur        blurred background                 mask       how much each pixel belongs to a person
overlay     class colours over the picture     labels     the class of each pixel
""",
    ),
    (
        "Keys in the window",
        """
q quit   space pause   1..9, 0 effects in the order above   i invert   s snapshot (PNG)
""",
    ),
)


def run_parameters() -> list[click.Parameter]:
    """Return SOURCE and all options, in the order the help shows them."""
    share = number(low=0, high=1)
    pixels = number(low=0)
    positive = number(above=0)
    return [
        click.Argument(["source"], required=False),
        Option(
            ["--live/--no-live"],
            group=READ,
            default=None,
            show_default="cameras, streams and the screen are live",
            help="Live: drop frames rather than lag behind.",
        ),
        Option(
            ["--duration"],
            group=READ,
            type=positive,
            metavar="SECONDS",
            show_default="all",
            help="Stop after so long.",
        ),
        Option(
            ["--size"],
            group=READ,
            type=size,
            metavar="WxH",
            show_default="as it comes",
            help="Picture size asked of a camera, the screen or test:.",
        ),
        Option(
            ["--fps"],
            group=READ,
            type=positive,
            metavar="RATE",
            show_default="as it comes",
            help="Frames a second asked of a camera, the screen or test:.",
        ),
        Option(
            ["--effect"],
            group=SEE,
            default="silhouette",
            metavar="NAME",
            help=f"One of {', '.join(EFFECTS)}.",
        ),
        Option(
            ["--background"],
            group=SEE,
            metavar="COLOR|PATH",
            show_default="by effect",
            help="Colour, picture or video shown where nobody is.",
        ),
        Option(
            ["--background-fit"],
            group=SEE,
            default="crop",
            type=click.Choice(["crop", "pad", "stretch"]),
            help="How a background of another shape is fitted.",
        ),
        Option(
            ["--color"],
            group=SEE,
            metavar="COLOR",
            show_default="by effect",
            help="Of the figure or line: red, '#00b140'.",
        ),
        Option(
            ["--classes"],
            group=SEE,
            type=names,
            metavar="NAME,...",
            show_default="the people",
            help="What counts as foreground, where the network knows several classes.",
        ),
        Option(["--invert"], group=SEE, is_flag=True, help="Swap foreground and background."),
        Option(
            ["--threshold"],
            group=SEE,
            type=share,
            metavar="0..1",
            show_default="soft edges",
            help="Make edges hard: in or out at this opacity.",
        ),
        Option(
            ["--feather"],
            group=SEE,
            type=pixels,
            default=0.0,
            metavar="PIXELS",
            help="Soften edges by so much.",
        ),
        Option(
            ["--outline-width"],
            group=SEE,
            type=pixels,
            metavar="PIXELS",
            show_default="6",
            help="Of the line, in a picture 1080 lines high; it grows with the picture.",
        ),
        Option(
            ["--blur-strength"],
            group=SEE,
            type=pixels,
            metavar="PIXELS",
            show_default="20",
            help="Of the blur, in a picture 1080 lines high; it grows with the picture.",
        ),
        Option(
            ["--model"],
            group=NETWORK,
            default="selfie",
            metavar="NAME|PATH",
            help="A name `streamseg models` lists, a card (.toml), or an .onnx or .tflite file.",
        ),
        Option(
            ["--runtime"],
            group=NETWORK,
            default="auto",
            metavar="NAME",
            help="What runs it: auto, onnxruntime, or null (no network: a disc).",
        ),
        Option(
            ["--smooth"],
            group=NETWORK,
            type=share,
            default=0.0,
            metavar="0..1",
            help="Calm flicker; more also lags more.",
        ),
        Option(
            ["--threads"],
            group=NETWORK,
            type=whole(low=1),
            metavar="N",
            show_default="by the cores here",
            help="Processor threads for the network.",
        ),
        Option(
            ["-o", "--output", "sinks"],
            group=STORE,
            multiple=True,
            metavar="SINK",
            show_default="a window",
            help="Where the result goes; give several for several results.",
        ),
        Option(
            ["--codec"],
            group=STORE,
            metavar="NAME",
            show_default="by extension",
            help="h264, hevc, vp9, av1, prores, ffv1, or an FFmpeg encoder.",
        ),
        Option(
            ["--crf"],
            group=STORE,
            type=whole(low=0, high=63),
            metavar="N",
            show_default="by codec",
            help="Quality: lower is better and bigger.",
        ),
        Option(
            ["--preset"],
            group=STORE,
            metavar="NAME",
            show_default="by codec",
            help="The encoder's own, as veryfast or slow for libx264.",
        ),
        Option(
            ["--bitrate"],
            group=STORE,
            type=bitrate,
            metavar="RATE",
            show_default="by quality",
            help="Bits a second, as 800k or 4M.",
        ),
        Option(["-y", "--overwrite"], group=STORE, is_flag=True, help="Replace files that exist."),
        Option(
            ["--report"],
            group=RUNNING,
            type=click.Path(),
            metavar="FILE",
            show_default="none",
            help="Write what was measured as JSON.",
        ),
        Option(["-q", "--quiet"], group=RUNNING, is_flag=True, help="Say nothing but errors."),
    ]
