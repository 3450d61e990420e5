"""What a picture says of how it was made, in words."""

from __future__ import annotations

from pathlib import Path

from engine.generate.infotext import parse_infotext
from engine.generate.picture_said import PictureSaid
from engine.protocol.making import Making
from engine.protocol.passes import HiresPass
from engine.protocol.request import GenerateRequest
from tui_loraswitch.commands.inspect_picture import picture_fields
from tui_loraswitch.control.caption import caption_by

INFOTEXT = (
    "a fox\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 512x512, "
    "Denoising strength: 0.4, Hires upscale: 1.5, Hires steps: 9, Hires upscaler: R-ESRGAN 4x+"
)


def test_a_hires_fix_is_told_of_our_pictures_and_of_others() -> None:
    request = GenerateRequest("a fox", Path("/out"), seed=5, hires=HiresPass(1.5, 0.5, "Lanczos"))
    own = PictureSaid(768, 768, making=Making(request, ()))
    other = PictureSaid(768, 768, info=parse_infotext(INFOTEXT))
    plain = PictureSaid(512, 512, info=parse_infotext("a fox\nSteps: 20, Seed: 5"))
    assert dict(picture_fields(own))["hires fix"] == "×1.5 · Lanczos · denoising 0.5"
    told = dict(picture_fields(other))["hires fix"]
    assert told == "×1.5 · R-ESRGAN 4x+ · denoising 0.4 · 9 steps"
    assert "hires fix" not in dict(picture_fields(plain))
    for said, ending in ((own, "hires ×1.5"), (other, "hires ×1.5"), (plain, "20 steps")):
        assert caption_by(said).settings.endswith(ending)
