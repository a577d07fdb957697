"""Run the command line as `python -m dagforge`."""

from dagforge.cli import main

if __name__ == "__main__":
    main()
