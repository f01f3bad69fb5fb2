"""Sinks: where finished frames go. `open_sink(uri)` finds the right one; each kind has a file here."""
