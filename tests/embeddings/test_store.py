"""Files of textual inversions: the forms in use, what is refused, and which file a name means."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.embeddings.bundled import bundled_embeddings
from engine.embeddings.store import EmbeddingStore
from engine.embeddings.vocabulary import Vocabulary
from engine.lora.file import read_lora, read_lora_header

WIDTHS = (768, 1280)
LORA = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"


def vectors(count: int, width: int, value: float = 0.5) -> torch.Tensor:
    return torch.full((count, width), float(value))


def both(count: int = 2, value: float = 0.5) -> dict[str, torch.Tensor]:
    return {"clip_l": vectors(count, 768, value), "clip_g": vectors(count, 1280, -value)}


def write(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def find(prompt: str, folder: Path, store: EmbeddingStore | None = None) -> Vocabulary:
    return (store or EmbeddingStore()).find([prompt], WIDTHS, [folder])


def test_a_file_with_both_encoders_is_read_when_a_prompt_names_it(tmp_path: Path) -> None:
    path = write(tmp_path / "Twig.safetensors", both(3) | {"t5xxl": torch.zeros(1, 4)})
    write(tmp_path / "other.safetensors", both())
    vocabulary = find("a (twig:1.2) BREAK fox", tmp_path)
    (inversion,) = vocabulary.inversions.values()
    assert (inversion.name, inversion.clip_l.shape, inversion.clip_g.shape) == (
        "Twig",
        (3, 768),
        (3, 1280),
    )
    assert torch.equal(inversion.clip_g, vectors(3, 1280, -0.5))
    assert vocabulary.warnings == ()
    # A1111's own hash: the first 12 digits of the file's SHA-256.
    assert vocabulary.hashes == (("Twig", hashlib.sha256(path.read_bytes()).hexdigest()[:12]),)
    assert find("a fox", tmp_path).inversions == {}


def test_many_unknown_names_are_counted(tmp_path: Path) -> None:
    vocabulary = find(" ".join(f"embedding:x{n}" for n in range(5000)), tmp_path)
    assert len(vocabulary.warnings) == 11
    assert "“x0”" in vocabulary.warnings[0]
    assert "4,990 other ones" in vocabulary.warnings[-1]


def test_one_vector_may_be_flat(tmp_path: Path) -> None:
    write(tmp_path / "twig.safetensors", {"clip_l": torch.ones(768), "clip_g": torch.ones(1280)})
    (inversion,) = find("twig", tmp_path).inversions.values()
    assert (inversion.clip_l.shape, inversion.clip_g.shape) == ((1, 768), (1, 1280))


def test_pivotal_tuning_has_names_of_its_own(tmp_path: Path) -> None:
    names = {"text_encoders_0": vectors(2, 768, 3), "text_encoders_1": vectors(2, 1280, 4)}
    write(tmp_path / "twig_emb.safetensors", names)
    (inversion,) = find("twig_emb", tmp_path).inversions.values()
    assert (inversion.clip_l.shape, float(inversion.clip_g[0, 0])) == ((2, 768), 4.0)
    assert inversion.clip_l_out is inversion.clip_g_out is None


def test_output_embeddings_are_read_with_their_vectors_or_alone(tmp_path: Path) -> None:
    states = {"clip_l_out": vectors(2, 768, 3), "clip_g_out": vectors(2, 1280, 4)}
    for tensors, value in ((both() | states, 0.5), (states, 0.0)):
        write(tmp_path / "twig.safetensors", tensors)
        (inversion,) = find("twig", tmp_path).inversions.values()
        assert float(inversion.clip_l[0, 0]) == value
        assert inversion.clip_g_out is not None
        assert float(inversion.clip_g_out[1, 5]) == 4.0


def test_the_two_files_of_diffusers_training_belong_together(tmp_path: Path) -> None:
    write(tmp_path / "learned_embeds.safetensors", {"<cat-toy>": vectors(2, 768)})
    second = tmp_path / "learned_embeds_2.safetensors"
    write(second, {"<cat-toy>": vectors(2, 1280, 3)})
    store = EmbeddingStore()
    (inversion,) = find("learned_embeds", tmp_path, store).inversions.values()
    assert (inversion.clip_l.shape, float(inversion.clip_g[0, 0])) == ((2, 768), 3.0)
    write(second, {"<cat-toy>": vectors(2, 1280, 4)})
    os.utime(second, ns=(1, 1))
    (changed,) = find("learned_embeds", tmp_path, store).inversions.values()
    assert float(changed.clip_g[0, 0]) == 4.0
    assert changed.digest != inversion.digest


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"emb_params": vectors(2, 768)}, "is for SD 1.5 (one text encoder, 768 wide)"),
        ({"emb_params": vectors(2, 1024)}, "is for SD 2 (one text encoder, 1024 wide)"),
        ({"<cat-toy>": torch.ones(768)}, "is for SD 1.5"),
        ({"clip_g": vectors(2, 1280)}, "has no vectors for SDXL's first text encoder"),
        ({"clip_l": vectors(2, 768)}, "has no vectors for SDXL's second text encoder"),
        ({"one": torch.ones(3), "two": torch.ones(3)}, "no textual inversion for SDXL"),
        (both() | {"clip_l": vectors(3, 768)}, "3 vectors for the first text encoder and 2"),
        ({"text_encoders_0": vectors(2, 768)}, "has no vectors for SDXL's second text encoder"),
        ({"clip_l_out": vectors(2, 768)}, "has no vectors for SDXL's second text encoder"),
        (both() | {"clip_l_out": vectors(3, 768)}, "for one text encoder are not alike"),
        (both() | {"clip_l_out": vectors(2, 1024)}, "for one text encoder are not alike"),
        (both(76), "has 76 vectors"),
        (both(0), "has 0 vectors"),
        (both(value=float("nan")), "not finite"),
        ({"clip_l": torch.ones(2, 768).int(), "clip_g": torch.ones(2, 1280)}, "no list of vectors"),
        ({"clip_l": torch.ones(1, 2, 768), "clip_g": torch.ones(2, 1280)}, "no list of vectors"),
        ({"clip_l": vectors(2, 1024), "clip_g": vectors(2, 1280)}, "are 1024 and 1280 wide"),
        (
            {f"{LORA}.lora_down.weight": vectors(4, 8), f"{LORA}.lora_up.weight": vectors(8, 4)},
            "this is a LoRA",
        ),
        ({"first_stage_model.decoder.conv_in.weight": torch.ones(4)}, "this is a VAE"),
        ({"clip_l": vectors(2, 768), "clip_g": torch.ones(4_000, 1280)}, "too large"),
    ],
)
def test_what_is_not_for_sdxl_is_a_warning_and_an_ordinary_word(
    tmp_path: Path, tensors: dict[str, torch.Tensor], words: str
) -> None:
    write(tmp_path / "twig.safetensors", tensors)
    vocabulary = find("a twig", tmp_path)
    (warning,) = vocabulary.warnings
    assert warning.startswith("twig.safetensors: ")
    assert words in warning
    assert warning.endswith(".")
    assert list(vocabulary.split("a twig")) == ["a twig"]
    assert list(vocabulary.split("a embedding:twig b")) == ["a ", " b"]


@pytest.mark.parametrize("ending", [".pt", ".bin"])
def test_pickles_are_refused_with_the_way_out(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"twig{ending}").write_bytes(b"\x80\x02}q\x00.")
    (warning,) = find("twig", tmp_path).warnings
    assert f"twig{ending}: this is a pickle" in warning
    assert "safetensors.torch.save_file" in warning
    write(tmp_path / "twig.safetensors", both())
    assert find("twig", tmp_path).warnings == ()


def test_broken_and_missing_files_are_warnings(tmp_path: Path) -> None:
    (tmp_path / "twig.safetensors").write_bytes(b"<html>")
    broken, gone = find("twig, embedding:gone", tmp_path).warnings
    assert "twig.safetensors" in broken
    assert "no embedding “gone”" in gone
    (warning,) = find("twig", tmp_path / "nowhere").warnings
    assert "cannot be searched for embeddings" in warning


def test_a_name_in_two_folders_is_told_apart_by_its_path(tmp_path: Path) -> None:
    write(tmp_path / "a/twig.safetensors", both(1))
    write(tmp_path / "b/twig.safetensors", both(2))
    vocabulary = find("twig", tmp_path)
    assert len(vocabulary.inversions["twig"].clip_l) == 1
    assert "Several embeddings are called “twig”" in vocabulary.warnings[0]
    vocabulary = find("embedding:b/twig", tmp_path)
    assert [len(inv.clip_l) for inv in vocabulary.inversions.values()] == [2]
    assert vocabulary.warnings == ()
    # A file at the top is what its bare name means.
    write(tmp_path / "twig.safetensors", both(3))
    assert len(find("twig", tmp_path).inversions["twig"].clip_l) == 3


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "twig.safetensors", both())
    store = EmbeddingStore()
    first = find("twig", tmp_path, store).inversions["twig"]
    assert find("twig", tmp_path, store).inversions["twig"] is first
    write(path, both(value=0.75))
    os.utime(path, ns=(1, 1))
    second = find("twig", tmp_path, store).inversions["twig"]
    assert float(second.clip_l[0, 0]) == 0.75
    assert second.digest != first.digest


def test_inversions_bundled_with_a_live_lora_go_first(tmp_path: Path) -> None:
    tensors = {
        f"{LORA}.lora_down.weight": torch.ones(4, 8),
        f"{LORA}.lora_up.weight": torch.ones(8, 4),
        "bundle_emb.twig.clip_l": vectors(2, 768, 3),
        "bundle_emb.twig.clip_g": vectors(2, 1280, 4),
        "bundle_emb.old.string_to_param.*": vectors(2, 768),
        "bundle_emb.leaf.clip_l_out": vectors(1, 768, 5),
        "bundle_emb.leaf.clip_g_out": vectors(1, 1280, 6),
        # Pivotal tuning's, which go by the name of the file.
        "text_encoders_0": vectors(2, 768, 7),
        "text_encoders_1": vectors(2, 1280, 8),
    }
    file = read_lora(read_lora_header(write(tmp_path / "ink.safetensors", tensors)))
    write(tmp_path / "folder/twig.safetensors", both(1))
    bundled = bundled_embeddings(file)
    vocabulary = EmbeddingStore().find(["twig, old"], WIDTHS, [tmp_path / "folder"], bundled)
    inversion = vocabulary.inversions["twig"]
    assert (float(inversion.clip_l[1, 5]), float(inversion.clip_g[1, 5])) == (3.0, 4.0)
    assert inversion.clip_l.untyped_storage().nbytes() == inversion.clip_l.nbytes
    assert vocabulary.hashes == (("twig", "ink"),)
    leaf, own = (
        EmbeddingStore().find([name], WIDTHS, [], bundled).inversions[name]
        for name in ("leaf", "ink")
    )
    assert leaf.clip_l_out is not None
    assert (float(leaf.clip_l[0, 0]), float(leaf.clip_l_out[0, 0])) == (0.0, 5.0)
    assert (float(own.clip_l[0, 0]), float(own.clip_g[0, 0])) == (7.0, 8.0)
    several, old = sorted(vocabulary.warnings)
    assert several.startswith("Several embeddings are called “twig”: ink is used")
    assert "ink (its embedding old): this textual inversion is for SD 1.5" in old
