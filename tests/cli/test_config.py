"""The config file: what is remembered comes back, and nothing of the user's is lost."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.block_weights import PRESETS
from engine.protocol.request import EMPTY_NEGATIVES
from tui_loraswitch.cli import main
from tui_loraswitch.config.config import (
    BACKUPS,
    DTYPES,
    IMAGES,
    VAE_DTYPES,
    Config,
    ConfigError,
    load_config,
    remember,
)

_NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1)
_PATHS = st.lists(_NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3).map(
    lambda names: Path("/", *names)
)
_CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "model": _PATHS,
        "loras": st.lists(_PATHS, max_size=3).map(tuple),
        "models": st.lists(_PATHS, max_size=3).map(tuple),
        "embeddings": st.lists(_PATHS, max_size=3).map(tuple),
        "vae": _PATHS | st.just("auto"),
        "device": st.sampled_from(["auto", "cpu", "cuda:1"]),
        "dtype": st.sampled_from(DTYPES),
        "vae_dtype": st.sampled_from(VAE_DTYPES),
        "backup": st.sampled_from(BACKUPS),
        "output": _PATHS,
        "images": st.sampled_from(IMAGES),
        "empty_negative": st.sampled_from(EMPTY_NEGATIVES),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=_CHOICES, second=_CHOICES)
def test_what_is_remembered_comes_back(first, second, tmp_path: Path) -> None:
    """The newest choice of each option stands, whatever characters a path has."""
    path = tmp_path / "round" / "config.toml"
    path.unlink(missing_ok=True)
    remember(path, first)
    remember(path, second)
    assert load_config(path) == Config(**{**first, **second})
    if path.exists():
        assert [item.name for item in path.parent.iterdir()] == ["config.toml"]


def test_a_file_that_is_not_there_says_nothing(config: Path) -> None:
    assert load_config(config) == Config()


def test_other_keys_stay(config: Path) -> None:
    config.write_text('theme = "paper"\nmodel = "/old"\n[keys]\nquit = "ctrl+q"\nlist = [1, 2.5]\n')
    remember(config, {"model": Path("/new")})
    assert tomllib.loads(config.read_text()) == {
        "theme": "paper",
        "model": "/new",
        "keys": {"quit": "ctrl+q", "list": [1, 2.5]},
    }


def test_a_file_that_says_so_already_is_not_written(config: Path) -> None:
    text = '# my own words\nmodel = "/m"\n'
    config.write_text(text)
    remember(config, {"model": Path("/m")})
    assert config.read_text() == text


def test_a_link_to_dotfiles_stays_a_link(config: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.toml"
    target.write_text("")
    config.symlink_to(target)
    remember(config, {"device": "cpu"})
    assert config.is_symlink()
    assert tomllib.loads(target.read_text()) == {"device": "cpu"}


def test_the_home_folder_is_expanded(config: Path, home: Path) -> None:
    config.write_text('model = "~/m.safetensors"\nloras = ["~/a", "/b"]\n')
    loaded = load_config(config)
    assert loaded.model == home / "m.safetensors"
    assert loaded.loras == (home / "a", Path("/b"))


def test_what_only_the_file_says(config: Path, home: Path) -> None:
    config.write_text(
        'tag_order = "unet, te"\nvae = "~/v.safetensors"\nembeddings = ["~/e"]\n'
        '[block_weights]\nFACE = "1,0,0,0,0,0,1,1,1,0,0,0"\n"my mid" = "mid"\n'
        'all20 = "1,1,0.5,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"\nnamed = "IN04=0.5, MID=0"\n'
    )
    loaded = load_config(config)
    assert (loaded.tag_order, loaded.vae) == ("unet, te", home / "v.safetensors")
    assert loaded.embeddings == (home / "e",)
    assert loaded.block_weights == {
        "FACE": "1,0,0,0,0,0,1,1,1,0,0,0",
        "my mid": PRESETS["MID"],
        "all20": "1,1,0.5,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
        "named": "1,0.5,1,1,1,0,1,1,1,1,1,1",
    }
    remember(config, {"device": "cpu"})
    assert load_config(config).block_weights == loaded.block_weights


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (b'\ntag_order = "unet"\n', "line 2", 'tag_order must be one of "te, unet", "unet'),
        (b'idle_minutes = "60"\n', "line 1", "idle_minutes must be a number of minutes"),
        (b"idle_minutes = -1\n", "line 1", "idle_minutes must be a number of minutes"),
        (b"idle_minutes = nan\n", "line 1", "idle_minutes must be a number of minutes"),
        (b"idle_minutes = true\n", "line 1", "idle_minutes must be a number of minutes"),
        (b'vae = ["v"]\n', "line 1", "vae must be a text"),
        (b'# FACE = x\n[block_weights]\nA = "mid"\nFACE = "1,2"\n', "line 4", "12 or 20 numbers"),
        (b'[block_weights]\n"a b" = "1,x,1,1,1,1,1,1,1,1,1,1"\n', "line 2", "is not a number"),
        (b'[block_weights]\nA = "IN04=1"\nB = "IN99=1"\n', "line 3", "no block 'IN99'"),
        (b"[ block_weights ]\nB = 1\n", "line 2", "B must be block weights in quotes"),
        (b'[block_weights]\n"a:b" = "mid"\n', "line 2", "a:b must be a name without"),
        (b'\nblock_weights = { B = "oops" }\n', "line 2", "no block weights named 'oops'"),
        (b'\nblock_weights.B = "oops"\n', "line 2", "no block weights named 'oops'"),
        (b'\n\nblock_weights = "mid"\n', "line 3", "block_weights must be a table"),
        (b'device = "cpu"\nmodel = \n', "line 2", "value"),
        (b"\n\nnot toml at all\n", "line 3", ""),
        (b'device = "cpu"\n\nmodel = 5\n', "line 3", "model must be a text"),
        (b'loras = "/one"\n', "line 1", "loras must be a list"),
        (b'loras = ["/one", 2]\n', "line 1", "loras must be a list"),
        (b'\nmodels = ["a\\u0000b"]\n', "line 2", "models must be a list"),
        (b'dtype = "auto"\nmodel = "a\\u0000b"\n', "line 2", "model must be a path"),
        (b'\nbackup = "disk"\n', "line 2", "one of auto, device, cpu"),
        (b'# \xff\n\nmodel = "\xfe"\n', "line 1", "UTF-8"),
        (b"x = " + b"[" * 100_000 + b"]" * 100_000, "", "nested too deeply"),
        (b"x = " + b"{a=" * 100_000, "", "nested too deeply"),
        (b"x = " + b"1" * 5000, "", "a number of thousands of digits"),
        (b"\nx = { a." + b"a." * 100_000 + b"a = 1 }", "line 2", "nested too deeply"),
        (b"[a." + b"a." * 100_000 + b"a]", "line 1", "nested too deeply"),
        (b"x = '" + b"long" * 300_000 + b"'", "", "too large"),
    ],
)
def test_a_broken_file_is_named_with_its_line(config: Path, text, place, reason) -> None:
    config.write_bytes(text)
    with pytest.raises(ConfigError) as raised:
        load_config(config)
    for words in (str(config), place, reason):
        assert words in str(raised.value)


def test_the_mark_of_windows_editors_is_no_text(config: Path) -> None:
    config.write_text('device = "cpu"\n', encoding="utf-8-sig")
    assert load_config(config).device == "cpu"
    remember(config, {"dtype": "float32"})
    assert (load_config(config).device, load_config(config).dtype) == ("cpu", "float32")


def test_a_link_in_a_circle_is_said(config: Path) -> None:
    config.symlink_to(config)
    with pytest.raises(ConfigError, match=f"{config}: cannot be read"):
        load_config(config)


def test_a_name_that_is_nearly_a_setting_is_said(config: Path, loras: Path, capsys) -> None:
    config.write_text('mdoel = "x"\ntag-order = "unet, te"\nmine = 1\n[other.tool]\na = 1\n')
    assert main(["list", "neon", "--loras", str(loras)]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("styles/neon")
    first, second = output.err.splitlines()
    assert f"{config}: “mdoel” is no setting, and is left out; is model meant?" in first
    assert "is tag_order meant?" in second


def test_a_broken_file_is_never_overwritten(config: Path) -> None:
    config.write_text("model = [unfinished")
    with pytest.raises(ConfigError):
        remember(config, {"model": Path("/m")})
    assert config.read_text() == "model = [unfinished"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_folder_or_a_pipe_in_its_place_is_said(config: Path, make) -> None:
    make(config)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(config)


@pytest.mark.parametrize("depth", [10, 90, 200, 300, 400, 500])
@pytest.mark.parametrize("opening", ["[", "{a="])
def test_what_is_nested_can_be_read_again_or_is_left(
    config: Path, depth: int, opening: str
) -> None:
    closing = {"[": "]", "{a=": "1}"}[opening]
    text = "x = " + opening * depth + closing[:-1] + closing[-1] * depth
    config.write_text(text)
    try:
        load_config(config)
        remember(config, {"device": "cpu"})
    except ConfigError:
        assert depth > 90
        assert config.read_text() == text
    else:
        assert load_config(config).device == "cpu"


def test_keys_and_themes_are_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        'theme = "nord"\n[keys]\npreset = "vim"\n"app.zoom" = "f11"\nlibrary.down = "t"\n'
    )
    config = load_config(path)
    assert config.theme == "nord"
    assert config.keys == {"preset": "vim", "app.zoom": "f11", "library.down": "t"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[keys]\npreset = "nano"\n', "line 2: preset must be one of default, vim, emacs"),
        ("keys = 3\n", "line 1: keys must be a table"),
        ("[keys]\napp.zoom = 3\n", "app.zoom must be keys in quotes"),
        ('[keys]\n"app.zoom" = " "\n', "app.zoom must be keys in quotes"),
        ('picture_kib_per_second = "fast"\n', "line 1: picture_kib_per_second must be a number"),
    ],
)
def test_wrong_keys_are_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_config(path)
