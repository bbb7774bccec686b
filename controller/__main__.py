"""`python -m handoff_kit.controller` is the `handoff` command."""

from .cli import main

if __name__ == "__main__":
    main()
