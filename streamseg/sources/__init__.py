"""Sources: where frames come from. `open_source(uri)` finds the right one; each kind has a file here."""
