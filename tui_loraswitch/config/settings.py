"""What the command line decides before the app starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field, structs

from engine.block_weights import PRESETS
from engine.protocol.modes import ModeChoice
from engine.protocol.reports import BackupChoice
from engine.protocol.request import EmptyNegative, PictureFormat
from engine.sdxl.prediction import Prediction, PredictionChoice
from engine.words.lora_tags import TagOrder
from tui_loraswitch.config.audition import USUAL, AuditionSettings

IDLE_MINUTES = 60.0
ImageSetting = Literal[
    "auto", "kitty", "iterm2", "sixel", "halfcell", "quadrants", "sextants", "octants", "off"
]


class AppSettings(Struct, frozen=True):
    """Which model and LoRAs to open, on what, and where results and remembered things go."""

    model: Path | None
    """A checkpoint file or folder; None opens the embedded demo."""
    loras: tuple[Path, ...]
    """Library folders, in the order shown."""
    device: str | None
    """Such as `cuda:0`; None lets the engine choose."""
    dtype: str | None
    output: Path
    """Folder for pictures; created when the first one is saved."""
    image_protocol: ImageSetting
    index_path: Path
    """The library's index: what is known of each file from earlier scans."""
    state_path: Path
    """Prompt, seed and the like of the last time (JSON)."""
    backup: BackupChoice
    models: tuple[Path, ...] = ()
    """Folders of checkpoints to choose from."""
    remembered_model: Path | None = None
    """The model of the last time, also when another is opened; its folder is offered too."""
    config_path: Path | None = None
    """Where a model chosen in the app is remembered; None: nowhere."""
    embeddings: tuple[Path, ...] = ()
    """Folders of textual inversions that prompts may name."""
    wildcards: Path | None = None
    """The folder of wildcard files that dynamic prompts name."""
    styles: Path | None = None
    """A file of styles, as A1111's `styles.csv`."""
    vae: Path | None = None
    """A file or diffusers folder; None is the model's own."""
    vae_dtype: str | None = None
    """`float32` or `bfloat16`; None lets the engine choose."""
    parts_from: Path | None = None
    """A model whose text encoders and VAE are used for one that has none, such as a UNet alone."""
    predictions: Mapping[Path | None, Prediction] = field(default_factory=dict)
    """What models predict, by their paths, where the user has said it."""
    mode: ModeChoice = "auto"
    """How the model shares the device's memory."""
    compiled: bool = False
    """Whether the UNet is compiled."""
    picture_format: PictureFormat = "png"
    picture_names: str = ""
    """A pattern of folders and names below `output`; empty: number and seed."""
    pictures: tuple[Path, ...] = ()
    """Folders whose pictures the gallery shows beside those of `output`."""
    graphs: bool = False
    """Whether the UNet's steps are CUDA graphs."""
    own_engine: bool = False
    """Whether the engine lives in the app's process, and ends with it."""
    model_is_named: bool = False
    """Whether `model` was named this time, and is not just the last one."""
    is_first_start: bool = False
    """Whether no model was ever named, nor the demo this time."""
    empty_negative: EmptyNegative = "zeros"
    """What stands for an empty negative prompt."""
    tag_order: TagOrder = "te, unet"
    """What two strengths in a `<lora:…>` tag mean."""
    writes_sidecars: bool = False
    """Whether the user's own words are also written into A1111's `.json` beside a file."""
    asks_civitai: bool = False
    """Whether Civitai may be asked about a file."""
    idle_minutes: float = IDLE_MINUTES
    """How long a host without clients and work goes on; 0: for ever."""
    theme: str = ""
    """The theme that the config file names."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """`preset`, and keys by the name of what they do."""
    picture_kib_per_second: float = 0.0
    """What pictures may take of the link to the terminal; 0: all it has."""
    audition: AuditionSettings = USUAL
    """How pictures are drawn while the cursor moves."""
    block_weights: Mapping[str, str] = field(default_factory=lambda: PRESETS)
    """Presets by name: those that are always there, and the user's."""

    @property
    def store_path(self) -> Path:
        """The store, in the folder of the state."""
        return self.state_path.with_name("loraswitch.db")

    @property
    def thumbnails_path(self) -> Path:
        """Small pictures of the gallery, beside the library's index."""
        return self.index_path.with_name("thumbnails")

    @property
    def remembered_predictions(self) -> dict[Path, Prediction]:
        """Those that outlive the program: all but the demo's."""
        return {path: kind for path, kind in self.predictions.items() if path is not None}

    def predicting(self, model: Path | None, choice: PredictionChoice) -> AppSettings:
        """The same settings with another choice of what a model (None: the demo) predicts."""
        others = {path: kind for path, kind in self.predictions.items() if path != model}
        return structs.replace(
            self, predictions=others if choice == "auto" else {**others, model: choice}
        )
