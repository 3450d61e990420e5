"""Keep the libraries' progress bars and log lines off a terminal that shows something else."""

from __future__ import annotations

import logging
import warnings

import diffusers.utils.logging
import transformers.utils.logging

# Without any handler, Python itself would print warnings to the terminal.
_NOWHERE = logging.NullHandler()


def quiet_libraries() -> None:
    """Turn off the progress bars of diffusers and transformers and hand their logs to `logging`.

    What they log still reaches the handlers of the root logger, such as a log file. To be called
    before diffusers' pipelines are imported: importing them already logs.
    """
    for name, library in (
        ("diffusers", diffusers.utils.logging),
        ("transformers", transformers.utils.logging),
    ):
        library.disable_progress_bar()
        library.disable_default_handler()
        library.enable_propagation()
        logging.getLogger(name).addHandler(_NOWHERE)
    # It rounds the ends of its interval to six digits and then complains about the difference.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torchsde\b")
