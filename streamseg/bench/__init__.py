"""`streamseg bench CLIP`: how fast it is here, beside a plain transcode and the usual script, in interleaved
runs."""

from __future__ import annotations

from streamseg.bench.gpu import measure_gpu
from streamseg.bench.suite import Result, measure
from streamseg.bench.table import print_table, to_json

__all__ = ["Result", "measure", "measure_gpu", "print_table", "to_json"]
