"""What reads the words of strangers: prompts that are pasted, and infotexts of any program."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import strategies as st

from engine.embeddings.words import split_at_names
from engine.errors import EngineError
from engine.generate.infotext import ModelUsed, describe_picture, parse_infotext, write_infotext
from engine.generate.infotext.sections import tidy
from engine.protocol.request import GenerateRequest
from engine.words.lora_tags import split_tags
from engine.words.prompt import is_empty, parse_prompt
from engine.words.sampler_spellings import read_sampler
from tests.fuzz.inputs import json_like, json_tables, names, texts, values
from tests.fuzz.readers import Reader

_PROMPT_PIECES = (
    "(", ")", "[", "]", "(a:1.2)", ":1.1)", ":", "\\", "\\(", " BREAK ", "BREAK", "<lora:", ">",
    "<lora:a:0.5>", "<lora:a:te=1:unet=0.2:lbw=MID>", "<lyco:", "embedding:", "embedding:cat",
    "cat", "red fox, ", ",", " ", "1", "0.5", "e9", "-", "=", "AND", "{a|b}", "__x__", "\n",
    "Negative prompt: ", "Steps: 20, Sampler: Euler, Seed: 1",
)  # fmt: skip


def _strung(pieces: tuple[str, ...], repeats: tuple[int, ...]) -> st.SearchStrategy[str]:
    """Pieces and other texts one after the other, some of them very often."""
    piece = st.builds(str.__mul__, st.sampled_from(pieces), st.sampled_from(repeats))
    return st.lists(piece | names, max_size=12).map("".join)


_prompts = (
    _strung(_PROMPT_PIECES, (1, 1, 1, 1, 2, 50)) | _strung(_PROMPT_PIECES, (1, 20_000)) | texts
)


def _read_prompt(text: str, folder: Path) -> None:
    refusal = ""
    try:
        parsed = parse_prompt(text)
    except EngineError as error:
        refusal = str(error)
    assert len(refusal) < 500, refusal
    if refusal:
        return
    rest, tags = split_tags(text)
    pieces = [piece for part in parsed.parts for piece in part]
    assert sum(len(piece.text) for piece in pieces) <= len(rest)
    assert all(abs(piece.weight) <= 100 for piece in pieces)
    assert all(math.isfinite(tag.unet + tag.text_encoder) for tag in tags)
    assert is_empty(text) == (not rest.strip())
    for piece in pieces[:50]:
        cut = list(split_at_names(piece.text, ("cat", "red fox")))
        assert sum(len(item) for item in cut if isinstance(item, str)) <= len(piece.text)
    info = describe_picture(GenerateRequest(text, folder), 1, model=ModelUsed("m"))
    assert parse_infotext(write_infotext(info)).prompt == tidy(rest)


_INFO_PIECES = (
    "Steps: 20", "Steps:", "Sampler: Euler a", "Sampler: dpmpp_2m_karras", "Schedule type: Karras",
    "CFG scale: 7", "Seed: 18446744073709551616", "Size: 512x512", "Clip skip: 2", "Model: x",
    "Negative prompt: bad", "Template: {a|b}", "Negative Template: x", "Version: v1", "\n", ", ",
    " ", " | ", '"', '\\"', "{", "}", "[", "]", "(", ")", ": ", ":", ",", "Hashes: ",
    'Lora hashes: "a: 1, b: 2"', "Lora weights: ", "Civitai resources: ", "TI hashes: ", "RNG: CPU",
    "<lora:a:0.5>", "a fox",
)  # fmt: skip
_INFO_KEYS = (
    "sui_image_params", "sui_models", "prompt", "negativeprompt", "negative_prompt", "steps",
    "seed", "sampler", "scheduler", "cfgscale", "resolution", "width", "model", "base_model",
    "loras", "vae", "loraweights", "loratencweights", "lora_combined_1", "LoRA 2", "clip_skip",
    "clipstopatlayer", "zeronegative", "hashes", "name", "param", "hash", "weight", "type",
    "air", "modelName", "modelVersionId", "lora:a", "embed:b", "version", "civitai resources",
)  # fmt: skip
_SOUND = {
    "prompt": '"a fox"', "steps": "20", "seed": "1", "sampler": '"dpmpp_2m"', "size": "[64, 64]",
    "scheduler": '"karras"', "cfgscale": "7.5", "loras": '["a", "b"]', "loraweights": '["1", "0"]',
    "sui_models": '[{"name": "a", "param": "loras", "hash": "0x12"}]', "clip_skip": "2",
    "civitai resources": '[{"type": "lora", "weight": 0.5, "modelVersionId": 1}]',
    "hashes": '{"model": "12", "lora:a": "34"}', "lora_combined_1": '"a : 0.5"',
}  # fmt: skip
_tables = json_tables(_INFO_KEYS) | json_like(_SOUND, values | json_tables(_INFO_KEYS))
_infotexts = (
    _strung(_INFO_PIECES, (1, 1, 1, 1, 2, 50))
    | _strung(_INFO_PIECES, (1, 20_000))
    | _tables
    | st.builds('{{"sui_image_params": {}}}'.format, _tables)
    | st.builds(
        "{}\nSteps: 20, {}{}, Seed: 5".format, texts, st.sampled_from(_INFO_PIECES), _tables
    )
    | texts
)


def _read_infotext(text: str, folder: Path) -> None:
    info = parse_infotext(text)
    for number in (info.steps, info.seed, info.width, info.height, info.clip_skip):
        assert number is None or abs(number) < 10**20
    assert info.cfg_scale is None or math.isfinite(info.cfg_scale)
    if info.sampler is not None:
        assert read_sampler(info.sampler)[0] == info.sampler
    split_tags(info.drawable_prompt.removeprefix(info.prompt))
    parse_infotext(write_infotext(info))


WORD_READERS = {
    "prompt": Reader(_prompts, _read_prompt),
    "infotext": Reader(_infotexts, _read_infotext),
}
