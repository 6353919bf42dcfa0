"""``python -m blackbox`` and the console script ``blackbox``."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from blackbox.cli import run

    run()


if __name__ == "__main__":
    main()
