"""The terminal lists samplers and reads prompts before torch is there; keep it that way."""

from __future__ import annotations

import subprocess
import sys

MODULES = (
    "words.sampler_names",
    "words.prompt",
    "generate.check",
    "generate.infotext",
    "generate.save",
)


def test_modules_for_the_terminal_import_no_torch() -> None:
    imports = "; ".join(f"import engine.{module}" for module in MODULES)
    heavy = "[m for m in ('torch', 'diffusers', 'transformers', 'numpy') if m in sys.modules]"
    code = f"import sys; {imports}; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
