"""`python -m tui_loraswitch` is the same as `loraswitch`."""

import sys

from tui_loraswitch.cli import main

sys.exit(main())
