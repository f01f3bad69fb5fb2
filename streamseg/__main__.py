"""`python -m streamseg` is the same program as `streamseg`."""

from streamseg.cli import main

if __name__ == "__main__":
    main()
