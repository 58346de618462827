"""Prints the list of commands, or runs a command: python -m tf_biggan [COMMAND ...]"""

import sys

from tf_biggan.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
