"""`loraswitch reproduce`: draw pictures again, by what they say of themselves, and compare."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.demo import DEMO_MODEL
from engine.errors import EngineError, FileFormatError
from engine.files.picture_texts import MAKING, read_picture_texts
from engine.proof.compare import PixelDifference, compare_pixels, differences
from engine.proof.contents import FileContents
from engine.proof.digest import request_digest, weights_digest
from engine.proof.find_files import find_loras, with_found
from engine.protocol.certificate import Certificate
from engine.protocol.commands import Load
from engine.protocol.events import ModelLoaded
from engine.protocol.making import Making, decode_making
from engine.protocol.text import plural
from engine.words.clean import clean_line
from tui_loraswitch.commands.engine_run import EngineRun, open_engine
from tui_loraswitch.commands.options import add_library_option, add_model_options, settings_from
from tui_loraswitch.commands.outcome import FAILED, OK, say
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.commands.scan import scan_library
from tui_loraswitch.config.config import expanded
from tui_loraswitch.config.settings import AppSettings

DESCRIPTION = """\
Prove what made a picture. Its certificate is read from the file; the LoRAs are
found by their content, wherever they lie in the library now; the model is
opened and the stack built again. Then it is said whether these are the same
weights, or which file differs; the picture is drawn, and its pixels compared.
The picture itself is not touched.

Where the device, the versions of the libraries or the number of threads are
others than they were, pixels may differ in their last bits: then that is said,
with the largest difference.

The model is the one that the picture names, unless --model names another place
of it. It is loaded for this command alone: no host is used.

The exit code is 0 when all pictures have the same pixels (with --check: the
same weights and the same request), and 1 when one has not.
"""

EXAMPLES = """\
examples:
  loraswitch reproduce outputs/00042-7.png
  loraswitch reproduce outputs/*.png --check
      without drawing: are the files still the same?
  loraswitch reproduce a.png --loras /mnt/loras --json | jq '.[].files'
"""


@dataclass(frozen=True)
class Finding:
    """What is known of one picture."""

    picture: Path
    same_weights: bool = False
    same_request: bool = False
    files: tuple[str, ...] = ()
    """What differs in files, as sentences."""
    machine: tuple[str, ...] = ()
    """What else may make a difference, as sentences."""
    pixels: PixelDifference | None = None
    """None: it was not drawn."""
    failure: str = ""

    def is_proven(self, check: bool) -> bool:
        """Whether it is the same, as far as it was looked at."""
        is_same = self.same_weights and self.same_request
        return is_same and (check or self.pixels == PixelDifference())


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "pictures", metavar="PICTURE", type=expanded, nargs="+", help="a picture drawn here"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare weights and request, and draw nothing"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list of findings")
    add_library_option(parser)
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Prove each picture, and print what was found as it is known."""
    settings = settings_from(args)
    findings: list[Finding] = []
    with (
        ProgressLine() as progress,
        tempfile.TemporaryDirectory(prefix="loraswitch-") as folder,
        open_engine(progress.follow) as engine,
    ):
        reproducer = Reproducer(args, settings, engine, Path(folder), progress)
        for picture in args.pictures:
            findings.append(reproducer.find(picture))
            progress.show("")
            if not args.json:
                _print(findings[-1], args.check)
    if args.json:
        print(json.dumps([_as_json(one, args.check) for one in findings], indent=2))
    proven = sum(one.is_proven(args.check) for one in findings)
    if len(findings) > 1 and not args.json:
        what = "the same weights and request" if args.check else "the same pixels"
        print(f"{proven} of {plural(len(findings), 'picture')}: {what}")
    return OK if proven == len(findings) else FAILED


class Reproducer:
    """Reproduces pictures one after another; a model that is open stays for the next."""

    def __init__(
        self,
        args: argparse.Namespace,
        settings: AppSettings,
        engine: EngineRun,
        folder: Path,
        progress: ProgressLine,
    ) -> None:
        self._args = args
        self._settings = settings
        self._engine = engine
        self._folder = folder
        self._progress = progress
        self._contents = FileContents(settings.index_path)
        self._library: list[Path] | None = None
        self._loaded: Load | None = None

    def find(self, picture: Path) -> Finding:
        """Reproduce one picture; what goes wrong is in the finding."""
        try:
            making = read_making(picture)
            certificate = making.certificate
            if certificate is None:
                raise EngineError(
                    f"{picture.name} has no certificate: when it was drawn, the files behind it "
                    "were not known."
                )
            return self._prove(picture, making, certificate)
        except EngineError as error:
            return Finding(picture, failure=str(error))

    def _prove(self, picture: Path, making: Making, was: Certificate) -> Finding:
        found = find_loras(was, self._files(was), self._contents, self._hashing)
        problems = [lora.problem for lora in found if lora.problem]
        self._load(was)
        model = self._engine.model
        if model.fingerprint != was.base:
            problems.append(
                f"{model.path}: this is another model than the picture was drawn with, or loaded "
                f"otherwise ({model.fingerprint[:12]}, it was {was.base[:12]}: {was.model})."
            )
        moved = with_found(making, found)
        finding = Finding(picture, files=tuple(problems))
        if any(lora.now is None for lora in found):
            return finding
        same_weights = was.weights == weights_digest(model.fingerprint, moved.stack, self._contents)
        same_request = was.request == request_digest(moved.picture, self._contents)
        if not same_request and same_weights and not problems:
            finding = replace(finding, files=("A mask, picture or embedding of it has changed.",))
        finding = replace(finding, same_weights=same_weights, same_request=same_request)
        return finding if self._args.check else self._draw(finding, moved, was)

    def _draw(self, finding: Finding, making: Making, was: Certificate) -> Finding:
        request = replace(making.picture, output=self._folder, file_names="", preview_every=0)
        (drawn,) = self._engine.draw(request, making.stack).pictures
        now = read_making(drawn.path).certificate
        pixels = compare_pixels(finding.picture, drawn.path)
        drawn.path.unlink()
        if now is None:
            raise EngineError("A file was written to while the picture was drawn; try again.")
        return replace(
            finding,
            same_weights=was.weights == now.weights,
            same_request=was.request == now.request,
            machine=tuple(differences(was, now)),
            pixels=pixels,
        )

    def _files(self, was: Certificate) -> list[Path]:
        """The library, which is listed once a picture has LoRAs."""
        if self._library is None and was.contents:
            settings = self._settings
            self._library = [e.path for e in scan_library(settings.loras, settings.index_path)]
        return self._library or []

    def _hashing(self, path: Path) -> None:
        self._progress.show(f"comparing {path.name}")

    def _load(self, was: Certificate) -> None:
        """Open the model of a picture, unless it is open."""
        settings = self._settings
        path = settings.model if settings.model_is_named else Path(was.model)
        load = Load(
            None if path == DEMO_MODEL.absolute() else path,
            settings.device,
            settings.dtype or was.dtype or None,
            settings.backup,
            vae=settings.vae or (Path(was.vae) if was.vae else None),
            mode=settings.mode,
            parts_from=settings.parts_from or (Path(was.parts_from) if was.parts_from else None),
            prediction=was.prediction,
            vae_dtype=settings.vae_dtype or was.vae_dtype,
        )
        if load != self._loaded:
            self._engine.ask(load, ModelLoaded)
            self._loaded = load


def read_making(picture: Path) -> Making:
    """What made a picture. Raises `FileFormatError` where it does not say it."""
    text = read_picture_texts(picture).texts.get(MAKING)
    if text is None:
        raise FileFormatError(
            f"{picture.name}: it does not say exactly how it was made; it is not from this program."
        )
    try:
        return decode_making(text)
    except ValueError as error:
        words = f"{picture.name}: how it was made cannot be read ({error})."
        raise FileFormatError(words) from error


def _print(finding: Finding, check: bool) -> None:
    for line in _lines(finding, check):
        print(clean_line(line), flush=True)


def _lines(finding: Finding, check: bool) -> Sequence[str]:
    name = finding.picture.name
    if finding.failure:
        say(finding.failure)
        return (f"{name}: not reproduced",)
    weights = "the same weights" if finding.same_weights else "OTHER WEIGHTS"
    request = "" if finding.same_request else " · another request"
    pixels = "" if check else f" · {_pixels(finding.pixels)}"
    details = (f"  {words}" for words in finding.files + finding.machine)
    return (f"{name}: {weights}{request}{pixels}", *details)


def _pixels(difference: PixelDifference | None) -> str:
    if difference is None:
        return "not drawn"
    if difference == PixelDifference():
        return "the same pixels"
    if difference.pixels < 0:
        return "another size"
    count = plural(difference.pixels, "pixel differs", "pixels differ")
    return f"{count}, by up to {difference.largest} of 255"


def _as_json(finding: Finding, check: bool) -> dict[str, Any]:
    plain = asdict(finding)
    return {**plain, "picture": str(finding.picture), "proven": finding.is_proven(check)}
