"""The command `lm_eval`, which knows the model `mypt` as well."""

from __future__ import annotations

import sys

from lm_eval.__main__ import cli_evaluate

from mypt import MyptError


def main() -> None:
    """Run lm-eval with the arguments of this process."""
    try:
        cli_evaluate()
    except MyptError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
