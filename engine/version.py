"""The version of loraswitch; `pyproject.toml` takes it from here.

To ask for that of an installed package takes 15 ms, in the first moments of the app.
"""

VERSION = "0.1.0"
