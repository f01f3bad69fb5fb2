"""What was asked on the command line, and the things it opens."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamseg.backoff import Backoff
from streamseg.cli import COMMANDS
from streamseg.cli.help import started
from streamseg.cli.progress import say
from streamseg.control import Control
from streamseg.errors import UsageError
from streamseg.models import find_model
from streamseg.screens import no_screen
from streamseg.segmenter import Segmenter
from streamseg.settings import SETTINGS, Settings
from streamseg.sinks import Encoding, Sink, check_encoding, open_sink
from streamseg.sinks.address import told
from streamseg.sources import Source, open_source
from streamseg.sources.uris import is_network, local_path

if TYPE_CHECKING:
    from streamseg.plans import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked on the command line."""

    source: str | None
    sinks: tuple[str, ...]
    live: bool | None
    latency_budget: float | None
    duration: float | None
    size: tuple[int, int] | None
    fps: float | None
    hwaccel: str
    read_timeout: float
    reconnect: int | None
    settings: Settings
    """What may be changed while the run goes on."""
    runtime: str
    precision: Precision | None
    threads: int | None
    encoding: Encoding
    overwrite: bool
    control: bool
    report: str | None
    quiet: bool

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Request:
        """Sort all options of `streamseg run`, by name."""
        given = {**options, "classes": options["classes"] or ()}
        settings = Settings(**{name: given.pop(name) for name in SETTINGS})
        encoding = Encoding(**{field.name: given.pop(field.name) for field in fields(Encoding)})
        return cls(settings=settings, encoding=encoding, **given)

    def open_source(self) -> Source:
        """Open what is to be read."""
        uri = self.source or default_source()
        if self.control and uri == "-":
            raise UsageError("--control reads commands from standard input, so SOURCE cannot be '-' as well")
        if uri in COMMANDS and not Path(uri).exists():
            raise UsageError(f"cannot open {uri!r}: no such file; the command of that name: {started(uri)}")
        sends = any(is_network(sink) for sink in self.sinks)  # to streams out it means as much
        return open_source(
            uri,
            live=self.live,
            duration=self.duration,
            size=self.size,
            fps=self.fps,
            hwaccel=self.hwaccel,
            read_timeout=self.read_timeout,
            reconnect=self.reconnect if is_network(uri) or not sends else None,
            say=self.tell,
        )

    def open_segmenter(self, settings: Settings) -> Segmenter:
        """Load the network of settings: these, or others that are asked for later."""
        return Segmenter(
            find_model(settings.model),
            runtime=self.runtime,
            precision=self.precision,
            classes=settings.classes,
            crop=settings.crop,
            refine=settings.refine,
            smooth=settings.smooth,
            threads=self.threads,
            say=self.tell,
        )

    def control_of(self, source: Source) -> Control:
        """Return the strings of a run of `source`; raises UsageError for a budget it cannot keep."""
        if self.latency_budget is not None and not source.live:
            raise UsageError(
                "--latency-budget is for live sources: a file waits and loses nothing; add --live"
            )
        return Control(self.settings, self.open_segmenter, latency_budget=self.latency_budget, say=self.tell)

    def tell(self, line: str) -> None:
        """Say something while the run goes on, unless it shall be quiet."""
        if not self.quiet:
            say(line)

    def open_sinks(self, source: Source) -> list[Sink]:
        """Open what is to be written; no sink may write what the source reads or another sink writes."""
        sinks: list[Sink] = []
        uris = self.sinks or (default_sink(),)
        for index, uri in enumerate(uris):
            output = f"output {told(uri)!r}"
            self.spare(output, uri)
            if any(same_file(uri, other) for other in uris[:index]):
                raise UsageError(f"{output} is given twice; give each -o a name of its own")
            sinks.append(
                open_sink(
                    uri,
                    encoding=self.encoding,
                    overwrite=self.overwrite,
                    inputs=source.paths,
                    expected_frames=source.expected_frames,
                    shared=len(uris) > 1,
                    live=source.live,
                    realtime=self.live is not False,
                    backoff=Backoff(attempts=self.reconnect),
                    say=self.tell,
                )
            )
        check_encoding(self.encoding, sinks)
        return sinks

    def spare(self, what: str, uri: str) -> None:
        """Raise UsageError where writing to `uri` would replace the background, the card or the weights."""
        model = self.settings.model
        roles = {"background": self.settings.background, "model": model}
        if model.endswith(".toml") and Path(model).is_file():
            roles["weights"] = str(Path(model).with_name(find_model(model).weights))
        for role, kept in roles.items():
            if kept is not None and Path(kept).is_file() and same_file(uri, kept):
                raise UsageError(f"{what} is the {role} of this run; choose another name")


def same_file(one: str, other: str) -> bool:
    """Whether two URIs mean the same, or the same file."""
    if one == other:
        return True
    if "-" in (one, other) or is_network(one) or is_network(other):
        return False
    first, second = Path(os.path.realpath(local_path(one))), Path(os.path.realpath(local_path(other)))
    return first == second or (first.exists() and second.exists() and first.samefile(second))


def default_source() -> str:
    """Return the first camera, a virtual one last; raises UsageError where there is none."""
    if not sys.platform.startswith("linux"):
        return "0"  # looking for cameras there means opening them
    from streamseg.sources.cameras import list_cameras

    cameras = list_cameras()
    if not cameras:
        raise UsageError(
            f"no SOURCE was given and no camera is here; name what to read: {started('run')} talk.mp4"
        )
    return next((camera for camera in cameras if camera.port), cameras[0]).uri


def default_sink() -> str:
    """Return the window; raises UsageError where there is no screen."""
    if missing := no_screen():
        raise UsageError(
            f"no -o was given and there is no screen for a window ({missing}); name a file: -o out.mp4"
        )
    return "window"
