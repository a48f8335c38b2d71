"""``python -m svcsim``."""

import sys

from svcsim.cli import main

if __name__ == "__main__":
    sys.exit(main())
