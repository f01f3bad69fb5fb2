"""The tests; they mirror streamseg/."""
