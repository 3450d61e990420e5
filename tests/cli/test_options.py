"""From options, config file and defaults to settings; paths that cannot be meant."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.block_weights import PRESETS
from engine.demo import DEMO_LORAS
from tui_loraswitch.cli import _parser, main
from tui_loraswitch.commands.options import settings_from
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.config.config import ConfigError
from tui_loraswitch.config.settings import AppSettings


def settings_of(*words: str) -> AppSettings:
    return settings_from(_parser(words).parse_args(words))


@pytest.fixture
def model(home: Path) -> Path:
    """A header that counts as a checkpoint's."""
    path = home / "model.safetensors"
    names = ("model.diffusion_model.out.2.bias", "conditioner.embedders.1.model.ln_final.bias")
    save_file({name: np.zeros(4, np.float16) for name in names}, path)
    return path


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder `closed` of another user; real rights would not hold the superuser back."""
    look = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if path.parent.name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", stat)


def test_without_anything_the_demo_opens(home: Path) -> None:
    settings = settings_of()
    assert settings.model is None
    assert settings.loras == (DEMO_LORAS,)
    assert (settings.device, settings.dtype, settings.backup) == (None, None, "auto")
    assert settings.output == home / "outputs"
    assert settings.image_protocol == "auto"


def test_given_goes_before_remembered(config: Path, model: Path, loras: Path) -> None:
    config.write_text(
        'model = "/gone.safetensors"\nloras = ["/a", "/b"]\ndevice = "cuda:1"\n'
        'dtype = "bfloat16"\nbackup = "cpu"\noutput = "/pictures"\nimages = "sixel"\n'
    )
    remembered = settings_of()
    assert remembered.model == Path("/gone.safetensors")
    assert remembered.loras == (Path("/a"), Path("/b"))
    assert (remembered.device, remembered.dtype) == ("cuda:1", "bfloat16")
    assert (remembered.backup, remembered.image_protocol) == ("cpu", "sixel")
    assert remembered.output == Path("/pictures")
    given = settings_of(
        *("--model", str(model), "--loras", str(loras), "--device", "auto", "--dtype", "auto"),
        *("--output", "here", "--images", "off", "--backup", "device"),
    )
    assert given.model == model
    assert given.loras == (loras,)
    assert (given.device, given.dtype) == (None, None)
    assert (given.backup, given.image_protocol) == ("device", "off")
    assert given.output == Path("here").absolute()


def test_an_empty_negative_is_zeros_unless_said(config: Path) -> None:
    assert settings_of().empty_negative == "zeros"
    config.write_text('empty_negative = "encoded"\n')
    assert settings_of().empty_negative == "encoded"
    assert settings_of("--demo").empty_negative == "encoded"
    assert settings_of("--empty-negative", "zeros").empty_negative == "zeros"
    config.write_text('empty_negative = "nothing"\n')
    with pytest.raises(ConfigError, match="one of zeros, encoded"):
        settings_of()


def test_folders_of_models_are_given_or_remembered(config: Path, home: Path, loras: Path) -> None:
    config.write_text('model = "/m"\nmodels = ["~/a", "/b"]\n')
    remembered = settings_of("--demo")
    assert remembered.models == (home / "a", Path("/b"))
    assert remembered.remembered_model == Path("/m"), "others lie beside it"
    assert remembered.config_path == config
    given = settings_of("--models", str(loras), "--models", str(loras / "styles"))
    assert given.models == (loras, loras / "styles")


def test_embeddings_and_a_vae_are_given_or_remembered(
    config: Path, home: Path, loras: Path
) -> None:
    config.write_text(
        'model = "/m"\nembeddings = ["~/e"]\nvae = "/v.safetensors"\ntag_order = "unet, te"\n'
        '[block_weights]\nFACE = "mid"\n'
    )
    remembered = settings_of()
    assert remembered.embeddings == (home / "e",)
    assert remembered.vae == Path("/v.safetensors")
    assert remembered.tag_order == "unet, te"
    assert remembered.block_weights == {**PRESETS, "FACE": PRESETS["MID"]}
    demo = settings_of("--demo")
    assert (demo.embeddings, demo.vae) == ((), None), "they do not fit the demo"
    vae = home / "vae.safetensors"
    save_file({"decoder.conv_in.bias": np.zeros(4, np.float16)}, vae)
    given = settings_of("--embeddings", str(loras), "--embeddings", str(home), "--vae", str(vae))
    assert given.embeddings == (loras, home)
    assert given.vae == vae
    assert settings_of("--vae", "auto").vae is None


def test_the_type_of_the_vae_is_given_or_remembered(config: Path) -> None:
    assert settings_of().vae_dtype is None
    config.write_text('vae_dtype = "float32"\n')
    assert settings_of("--demo").vae_dtype == "float32"
    assert settings_of("--vae-dtype", "bfloat16").vae_dtype == "bfloat16"
    assert settings_of("--vae-dtype", "auto").vae_dtype is None
    config.write_text('vae_dtype = "float16"\n')
    with pytest.raises(ConfigError, match="one of auto, float32, bfloat16"):
        settings_of()


def test_the_backup_may_be_the_file_itself() -> None:
    assert settings_of("--backup", "file").backup == "file"


def test_demo_passes_over_the_remembered_model_and_folders_only(config: Path, loras: Path) -> None:
    config.write_text('model = "/m"\nloras = ["/a"]\ndevice = "cpu"\n')
    settings = settings_of("--demo")
    assert (settings.model, settings.loras) == (None, (DEMO_LORAS,))
    assert settings.device == "cpu"
    assert settings_of("--demo", "--loras", str(loras)).loras == (loras, DEMO_LORAS)


def test_options_count_before_and_after_the_command(loras: Path) -> None:
    before = settings_of("--loras", str(loras), "--device", "cpu", "verify")
    after = settings_of("verify", "--loras", str(loras), "--device", "cpu")
    assert before == after
    assert before.device == "cpu"


def test_home_is_expanded_and_folders_add_up(home: Path, loras: Path) -> None:
    (home / "more").mkdir()
    settings = settings_of("--loras", "~/loras", "--loras", "~/more", "--output", "~/pictures")
    assert settings.loras == (loras, home / "more", DEMO_LORAS)
    assert settings.output == home / "pictures"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--model missing.safetensors", "no such file"),
        ("--model ~nobody-of-this-name/m.safetensors", "no such file"),
        ("--model loras", "--loras"),
        ("--model loras/styles/neon.safetensors", "this is a LoRA"),
        ("--model loras/broken.safetensors", "truncated"),
        ("--model words.txt", "not a safetensors file"),
        ("--model flux.safetensors", "Flux"),
        ("--model vae.safetensors", "this is a VAE, not an SDXL checkpoint"),
        ("--loras missing", "no such folder"),
        ("--loras words.txt", "not a folder"),
        ("--models missing", "--models .*no such folder"),
        ("--models words.txt", "not a folder"),
        ("--embeddings words.txt", "--embeddings .*not a folder"),
        ("--vae missing.safetensors", "--vae .*no such file"),
        ("--vae loras/styles/neon.safetensors", "this is a LoRA, not a VAE"),
        ("--vae loras", "no config.json"),
        (f"--loras {'long' * 100}", "no such folder"),
        (f"--model {'long' * 100}", "cannot be read"),
        ("--loras closed/loras", "closed to you"),
        ("--model closed/m.safetensors", "Permission denied"),
    ],
)
def test_a_path_that_cannot_be_opened_is_a_wrong_usage(
    home: Path, loras, closed, words, reason
) -> None:
    (home / "words.txt").write_text("words, and more words")
    zeros = np.zeros(4, np.float16)
    save_file({"double_blocks.0.img_attn.proj.bias": zeros}, home / "flux.safetensors")
    save_file({"decoder.conv_in.bias": zeros}, home / "vae.safetensors")
    with pytest.raises(UsageError, match=reason):
        settings_of(*words.split())


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU "])
def test_a_device_of_no_known_kind_is_refused(device: str, capsys) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["--device", device])
    assert leaving.value.code == 2
    assert "cuda:1" in capsys.readouterr().err


def test_a_broken_config_file_stops_every_command_and_stays(config: Path, loras, capsys) -> None:
    config.write_text("model = oops\n")
    for words in ([], ["list"], ["verify"], ["generate", "a fox"], ["--loras", str(loras)]):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert str(config) in error
        assert "line 1" in error
    assert config.read_text() == "model = oops\n"
