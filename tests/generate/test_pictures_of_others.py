"""Picture files of other programs, made from their documented formats, and hostile ones."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from engine.errors import FileFormatError
from engine.files.picture_texts import read_picture_texts
from engine.generate.picture_said import PictureSaid, read_picture
from tests.support.bounds import bounded


def png(folder: Path, texts: Mapping[str, Any]) -> PictureSaid:
    """A PNG with text chunks; what is no text is written as JSON."""
    info = PngInfo()
    for key, value in texts.items():
        info.add_text(key, value if isinstance(value, str) else json.dumps(value))
    Image.new("RGB", (64, 32)).save(folder / "x.png", pnginfo=info)
    said = read_picture(folder / "x.png")
    assert (said.width, said.height) == (64, 32)
    return said


def exif(folder: Path, ending: str, tags: Mapping[int, Any], own: bytes = b"") -> PictureSaid:
    """A JPEG or WebP with tags in its EXIF."""
    data = Image.Exif()
    for tag, value in tags.items():
        data[tag] = value
    if own:
        data.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = own
    Image.new("RGB", (64, 32)).save(folder / f"x.{ending}", exif=data)
    return read_picture(folder / f"x.{ending}")


A1111 = """a fox <lora:ink:0.8>
Negative prompt: blurry
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 5, Size: 832x1216, \
Model hash: 31e35c80fc, Model: sd_xl, Lora hashes: "ink: 4f4b9b7d8b86", Version: v1.10.1"""
FORGE = A1111.replace("v1.10.1", "f2.0.1v1.10.1-previous-669-gdfdcbab6")
SDNEXT = A1111.replace("Version: v1.10.1", "App: SD.Next, Version: 4b45a0d")
UNICODE = b"UNICODE\0" + A1111.encode("utf-16-be")


@pytest.mark.parametrize(
    ("text", "program"), [(A1111, "A1111"), (FORGE, "Forge"), (SDNEXT, "SD.Next")]
)
def test_a1111_and_its_kin(tmp_path: Path, text: str, program: str) -> None:
    said = png(tmp_path, {"parameters": text})
    assert (said.program, said.infotext, said.making) == (program, text, None)
    assert said.info is not None
    assert (said.info.seed, said.info.width, said.info.schedule) == (5, 832, "Karras")
    assert said.info.lora_hashes == (("ink", "4f4b9b7d8b86"),)


@pytest.mark.parametrize("ending", ["jpg", "webp"])
@pytest.mark.parametrize("order", ["be", "le"])
def test_a1111_in_jpeg_and_webp(tmp_path: Path, ending: str, order: str) -> None:
    said = exif(tmp_path, ending, {}, b"UNICODE\0" + A1111.encode(f"utf-16-{order}"))
    assert said.program == "A1111"
    assert said.infotext == A1111
    assert (said.width, said.height) == (64, 32)


ACCENTED = A1111.replace("a fox", "ein BÄR, 狐, café")


@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + b"\xfe\xff" + ACCENTED.encode("utf-16-be"),
        b"UNICODE\0" + b"\xff\xfe" + ACCENTED.encode("utf-16-le"),
        b"UNICODE\0" + ACCENTED.encode("utf-16-be") + b"\0\0",
        b"UNICODE\0" + ACCENTED.encode(),
        b"ASCII\0\0\0" + ACCENTED.encode() + b"\0",
        ACCENTED.encode("utf-8-sig"),
        ACCENTED.replace("狐", "x").encode("latin-1"),
    ],
)
def test_comments_in_odd_encodings(tmp_path: Path, comment: bytes) -> None:
    for ending in ("jpg", "webp"):
        said = exif(tmp_path, ending, {}, comment)
        assert said.infotext.replace("狐", "x") == ACCENTED.replace("狐", "x")
        assert said.program == "A1111"


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("codec", ["utf-8", "latin-1"])
def test_png_texts_in_odd_encodings(tmp_path: Path, kind: bytes, codec: str) -> None:
    text = ACCENTED if codec == "utf-8" else ACCENTED.replace("狐", "x")
    if kind == b"iTXt" and codec == "latin-1":
        return  # it says that it is UTF-8
    data = text.encode(codec)
    body = {b"tEXt": b"\0" + data, b"zTXt": b"\0\0" + zlib.compress(data)}
    path = tmp_path / "x.png"
    path.write_bytes(HEAD + chunk(kind, b"parameters" + body.get(kind, b"\0\0\0\0\0" + data)))
    assert read_picture(path).infotext == text


SWARM = {
    "sui_image_params": {
        "prompt": "a cat", "negativeprompt": "dull", "model": "sd_xl_base_1.0", "seed": 1,
        "steps": 20, "cfgscale": 7.0, "width": 1024, "height": 768, "sampler": "dpmpp_2m",
        "scheduler": "karras", "loras": ["styles/ink"], "loraweights": ["0.3"],
        "swarm_version": "0.9.5",
    },
    "sui_models": [{"name": "ink.safetensors", "param": "loras", "hash": "0x" + "ab" * 32}],
}  # fmt: skip


def check_swarm(said: PictureSaid) -> None:
    assert said.program == "SwarmUI"
    assert said.info is not None
    assert (said.info.seed, said.info.height, said.info.sampler) == (1, 768, "DPM++ 2M")
    assert [(tag.name, tag.unet) for tag in said.info.loras] == [("styles/ink", 0.3)]
    assert said.info.lora_hashes[0][1] == "ab" * 6


@pytest.mark.parametrize("kind", ["exif", "APP1"])
def test_exif_as_imagemagick_keeps_it_in_a_png(tmp_path: Path, kind: str) -> None:
    data = Image.Exif()
    data.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = UNICODE
    raw = data.tobytes()
    lines = "\n".join(raw.hex()[start : start + 72] for start in range(0, 2 * len(raw), 72))
    said = png(tmp_path, {f"Raw profile type {kind}": f"\nexif\n{len(raw):8}\n{lines}\n"})
    assert (said.infotext, said.program, said.notes) == (A1111, "A1111", ())
    for broken in ("", "\nexif\n 3\n1", "\nexif\n 3\nxyz", "\nexif\n 2\né"):
        said = png(tmp_path, {f"Raw profile type {kind}": broken or "exif"})
        assert (said.infotext, said.notes) == ("", ("its EXIF is broken",))


def test_the_comment_of_a_jpeg(tmp_path: Path) -> None:
    """A1111 reads it too; what cameras and editors write there is no prompt."""
    for comment, prompt in ((A1111, "a fox <lora:ink:0.8>"), ("CREATOR: gd-jpeg v1.0", None)):
        Image.new("RGB", (64, 32)).save(tmp_path / "x.jpg", comment=comment)
        said = read_picture(tmp_path / "x.jpg")
        assert (said.info.prompt if said.info else None) == prompt
        assert said.infotext == (comment if prompt else "")


def test_swarm(tmp_path: Path) -> None:
    check_swarm(png(tmp_path, {"parameters": SWARM}))
    text = json.dumps(SWARM)
    check_swarm(exif(tmp_path, "jpg", {}, b"UNICODE\0" + text.encode("utf-16-be")))
    check_swarm(exif(tmp_path, "webp", {}, b"ASCII\0\0\0" + text.encode()))


FOOOCUS = {
    "prompt": "a cat", "negative_prompt": "dull", "performance": "Speed", "steps": 30,
    "resolution": "(896, 1152)", "guidance_scale": 4.0, "sharpness": 2.0, "seed": "123",
    "base_model": "juggernautXL_v8", "base_model_hash": "aeb7e9e689", "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras", "vae": "Default (model)", "loras": [["offset", 0.1, "4852686128"]],
    "metadata_scheme": "fooocus", "version": "Fooocus v2.5.5",
}  # fmt: skip


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_fooocus(tmp_path: Path, ending: str) -> None:
    if ending == "png":
        said = png(tmp_path, {"fooocus_scheme": "fooocus", "parameters": FOOOCUS})
    else:
        tags = {ExifTags.Base.UserComment: json.dumps(FOOOCUS), ExifTags.Base.MakerNote: "fooocus"}
        said = exif(tmp_path, ending, tags)
    assert said.program == "Fooocus"
    assert said.info is not None
    assert (said.info.seed, said.info.steps, said.info.cfg_scale) == (123, 30, 4.0)
    assert [(tag.name, tag.unet) for tag in said.info.loras] == [("offset", 0.1)]


def test_fooocus_in_a1111s_scheme(tmp_path: Path) -> None:
    text = (
        "a cat\nNegative prompt: dull\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 123, "
        "Size: 896x1152, CFG scale: 4, Model: jugger, Version: Fooocus v2.5.5"
    )
    said = png(tmp_path, {"fooocus_scheme": "a1111", "parameters": text})
    assert said.program == "Fooocus"
    assert said.info is not None
    assert (said.info.seed, said.info.schedule) == (123, "Karras")


def test_invoke_ai(tmp_path: Path) -> None:
    new = {
        "generation_mode": "sdxl_txt2img", "positive_prompt": "dark", "negative_prompt": "frame",
        "width": 832, "height": 1216, "seed": 15, "cfg_scale": 6.0, "steps": 50,
        "scheduler": "dpmpp_2m_sde_k", "model": {"name": "sdxl", "hash": "blake3:ab"},
        "loras": [{"model": {"name": "ink"}, "weight": 0.7}], "app_version": "5.4.3",
    }  # fmt: skip
    said = png(tmp_path, {"invokeai_metadata": new, "invokeai_graph": "{}"})
    assert said.program == "InvokeAI"
    assert said.info is not None
    assert (said.info.prompt, said.info.seed, said.info.model) == ("dark", 15, "sdxl")
    assert (said.info.sampler, said.info.schedule) == ("DPM++ 2M SDE", "Karras")
    assert [(tag.name, tag.unet) for tag in said.info.loras] == [("ink", 0.7)]
    old = {"image": {"prompt": "a fox", "steps": 30, "cfg_scale": 7, "seed": 4, "width": 512}}
    said = png(tmp_path, {"sd-metadata": old})
    assert said.info is not None
    assert (said.program, said.info.prompt, said.info.seed) == ("InvokeAI", "a fox", 4)


def test_novelai(tmp_path: Path) -> None:
    comment = {"prompt": "a fox", "steps": 28, "scale": 5.0, "uc": "dull", "seed": 9,
               "sampler": "k_euler_ancestral", "width": 832, "height": 1216}  # fmt: skip
    said = png(tmp_path, {"Software": "NovelAI", "Comment": comment})
    assert said.program == "NovelAI"
    assert said.info is not None
    assert (said.info.prompt, said.info.negative_prompt) == ("a fox", "dull")
    assert (said.info.cfg_scale, said.info.seed, said.info.steps) == (5.0, 9, 28)


def test_novelai_of_the_fourth_version(tmp_path: Path) -> None:
    """A part of the prompt for each character, and the schedule beside the sampler."""
    comment = {
        "prompt": "", "steps": 28, "scale": 5.0, "seed": 9, "sampler": "k_dpmpp_2m",
        "noise_schedule": "karras", "v4_prompt": {"caption": {"base_caption": "two foxes",
        "char_captions": [{"char_caption": "a red one"}, {"char_caption": 3}, None]}},
        "v4_negative_prompt": {"caption": {"base_caption": "dull", "char_captions": []}},
    }  # fmt: skip
    said = png(tmp_path, {"Software": "NovelAI", "Comment": comment})
    assert said.info is not None
    assert (said.info.prompt, said.info.negative_prompt) == ("two foxes, a red one", "dull")
    assert (said.info.sampler, said.info.schedule) == ("DPM++ 2M", "Karras")
    said = png(
        tmp_path, {"Software": "NovelAI", "Comment": {**comment, "noise_schedule": "native"}}
    )
    assert said.info is not None
    assert said.info.schedule is None, "the sampler's own"


def test_the_first_invoke_ai(tmp_path: Path) -> None:
    """What is to be avoided stands in the prompt, in square brackets."""
    image = {"prompt": [{"prompt": "a fox [dull], red", "weight": 1.0}], "steps": 50, "seed": 1,
             "sampler": "k_lms", "width": 512, "height": 768, "cfg_scale": 7.5}  # fmt: skip
    metadata = {"model_weights": "xl", "app_id": "invoke-ai/InvokeAI", "image": image}
    dream = '"a fox [dull], red" -s 50 -S 1 -W 512 -H 768 -C 7.5 -A k_lms'
    for texts in ({"sd-metadata": metadata, "Dream": dream}, {"Dream": dream}):
        said = png(tmp_path, texts)
        assert said.program == "InvokeAI"
        info = said.info
        assert info is not None
        assert (info.prompt, info.negative_prompt) == ("a fox , red", "dull")
        assert (info.steps, info.seed, info.width, info.height) == (50, 1, 512, 768)
        assert (info.sampler, info.cfg_scale) == ("LMS", 7.5)


EASY = {
    "prompt": "a fox", "negative_prompt": "dull", "seed": "42", "num_inference_steps": "25",
    "use_stable_diffusion_model": "xl/base", "guidance_scale": "7.5", "sampler_name": "euler_a",
    "width": "832", "height": "1216", "use_lora_model": "['ink', 'neon']",
    "lora_alpha": "[0.5, 0.7]",
}  # fmt: skip
EASY_WORDS = {
    "Prompt": "a fox", "Negative Prompt": "dull", "Seed": "42", "Steps": "25",
    "Stable Diffusion model": "xl/base", "Guidance Scale": "7.5", "Sampler": "euler_a",
    "Width": "832", "Height": "1216", "LoRA model": "ink, neon", "LoRA Strength": "0.5, 0.7",
}  # fmt: skip


@pytest.mark.parametrize("texts", [EASY, EASY_WORDS])
@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_easy_diffusion(tmp_path: Path, texts: dict[str, str], ending: str) -> None:
    """In a PNG each value has a key of its own; elsewhere they are JSON."""
    if ending == "png":
        said = png(tmp_path, texts)
    else:
        said = exif(tmp_path, ending, {}, b"ASCII\0\0\0" + json.dumps(texts).encode())
    assert said.program == "Easy Diffusion"
    info = said.info
    assert info is not None
    assert (info.prompt, info.negative_prompt, info.seed) == ("a fox", "dull", 42)
    assert (info.steps, info.cfg_scale, info.sampler) == (25, 7.5, "Euler a")
    assert (info.width, info.height, info.model) == (832, 1216, "xl/base")
    assert [(tag.name, tag.unet) for tag in info.loras] == [("ink", 0.5), ("neon", 0.7)]


def test_draw_things(tmp_path: Path) -> None:
    """It writes JSON into the XMP."""
    settings = json.dumps(
        {"c": "a fox & <friend>", "uc": "dull", "sampler": "DPM++ 2M Karras", "scale": 4.5,
         "seed": 77, "size": "832x1216", "steps": 20, "model": "xl.ckpt",
         "lora": [{"model": "ink", "weight": 0.6}]}
    )  # fmt: skip
    xmp = (
        '<x:xmpmeta><rdf:Description><exif:UserComment> <rdf:Alt><rdf:li xml:lang="x-default">'
        f"{escape(settings)}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></x:xmpmeta>"
    )
    Image.new("RGB", (64, 32)).save(tmp_path / "x.webp", xmp=xmp.encode())
    for said in (png(tmp_path, {"XML:com.adobe.xmp": xmp}), read_picture(tmp_path / "x.webp")):
        assert said.program == "Draw Things"
        info = said.info
        assert info is not None
        assert (info.prompt, info.negative_prompt) == ("a fox & <friend>", "dull")
        assert (info.sampler, info.schedule, info.seed) == ("DPM++ 2M", "Karras", 77)
        assert (info.cfg_scale, info.width, info.model) == (4.5, 832, "xl")
        assert [(tag.name, tag.unet) for tag in info.loras] == [("ink", 0.6)]


def test_ruined_fooocus(tmp_path: Path) -> None:
    settings = {
        "Prompt": "a fox", "Negative": "dull", "steps": 30, "cfg": 8.5, "width": 1152,
        "height": 896, "seed": 99, "sampler_name": "dpmpp_2m_sde_gpu", "scheduler": "karras",
        "base_model_name": "xl.safetensors", "base_model_hash": "be9edd61",
        "loras": [["4852686128", "0.1 - my - ink_1.0.safetensors"], ["odd"]],
        "software": "RuinedFooocus",
    }  # fmt: skip
    said = png(tmp_path, {"parameters": settings})
    assert said.program == "RuinedFooocus"
    info = said.info
    assert info is not None
    assert (info.prompt, info.negative_prompt, info.seed) == ("a fox", "dull", 99)
    assert (info.model, info.model_hash, info.width) == ("xl", "be9edd61", 1152)
    assert [(tag.name, tag.unet) for tag in info.loras] == [("my - ink_1.0", 0.1)]
    assert info.lora_hashes == (("my - ink_1.0", "4852686128"),)


def test_tensor_art(tmp_path: Path) -> None:
    settings = {
        "prompt": "a fox", "negativePrompt": "dull", "width": 832, "height": 1216, "steps": 25,
        "samplerName": "DPM++ 2M Karras", "cfgScale": 7, "seed": "5", "clipSkip": 2,
        "baseModel": {"label": "XL", "modelFileName": "xl", "hash": "11aa"},
        "models": [{"label": "Ink", "type": "LORA", "weight": 0.8, "modelFileName": "ink_v1",
                    "hash": "ABCDEF"}, {"type": "UPSCALER", "label": "x"}, None],
    }  # fmt: skip
    said = png(tmp_path, {"generation_data": json.dumps(settings) + "\0"})
    assert said.program == "Tensor.Art"
    info = said.info
    assert info is not None
    assert (info.prompt, info.negative_prompt, info.seed) == ("a fox", "dull", 5)
    assert (info.model, info.model_hash, info.clip_skip) == ("xl", "11aa", 2)
    assert (info.sampler, info.schedule, info.cfg_scale) == ("DPM++ 2M", "Karras", 7.0)
    assert [(tag.name, tag.unet) for tag in info.loras] == [("ink_v1", 0.8)]


def test_stable_diffusion_cpp(tmp_path: Path) -> None:
    text = (
        "a fox\nSteps: 20, CFG scale: 7.000000, Guidance: 3.500000, Seed: 42, Size: 832x1216, "
        "Model: xl.safetensors, RNG: cuda, Sampler: dpm++2m discrete, Version: stable-diffusion.cpp"
    )
    said = png(tmp_path, {"parameters": text})
    assert said.program == "stable-diffusion.cpp"
    assert said.info is not None
    assert (said.info.sampler, said.info.schedule) == ("DPM++ 2M", "Uniform")
    assert (said.info.noise, said.info.model, said.info.cfg_scale) == ("GPU", "xl", 7.0)


def test_json_of_a_program_that_is_not_known(tmp_path: Path) -> None:
    """Its settings are read, and no other program is named."""
    said = png(tmp_path, {"parameters": {"prompt": "a fox", "seed": 4, "steps": 9, "by": "me"}})
    assert said.program == ""
    assert said.info is not None
    assert (said.info.seed, said.info.steps) == (4, 9)


# ComfyUI.


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def comfy(**changes: Any) -> dict[str, Any]:
    """The usual graph with two LoRAs; `changes` are nodes by id, None takes one out."""
    graph = {
        "4": node("CheckpointLoaderSimple", ckpt_name="xl/sd_xl_base_1.0.safetensors"),
        "10": node("LoraLoader", lora_name="styles\\ink.safetensors", strength_model=0.8,
                   strength_clip=0.5, model=["4", 0], clip=["4", 1]),
        "11": node("LoraLoaderModelOnly", lora_name="neon.safetensors", strength_model=0.4,
                   model=["10", 0]),
        "5": node("EmptyLatentImage", width=832, height=1216, batch_size=1),
        "6": node("CLIPTextEncode", text="a fox", clip=["10", 1]),
        "7": node("CLIPTextEncode", text="blurry", clip=["10", 1]),
        "3": node("KSampler", seed=156680208700286, steps=20, cfg=8, sampler_name="dpmpp_2m",
                  scheduler="karras", denoise=1, model=["11", 0], positive=["6", 0],
                  negative=["7", 0], latent_image=["5", 0]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }  # fmt: skip
    graph |= {id.removeprefix("n"): change for id, change in changes.items()}
    return {id: value for id, value in graph.items() if value is not None}


def check_comfy(said: PictureSaid, **others: Any) -> None:
    assert said.program == "ComfyUI"
    info = said.info
    assert info is not None
    expected = {
        "prompt": "a fox", "negative_prompt": "blurry", "seed": 156680208700286, "steps": 20,
        "cfg_scale": 8.0, "sampler": "DPM++ 2M", "schedule": "Karras", "width": 832, "height": 1216,
        "model": "sd_xl_base_1.0", "noise": "ComfyUI", **others,
    }  # fmt: skip
    loras = expected.pop("loras", [("ink", 0.8, 0.5), ("neon", 0.4, 0.4)])
    assert {name: getattr(info, name) for name in expected} == expected
    assert [(tag.name, tag.unet, tag.text_encoder) for tag in info.loras] == loras


def test_comfyui(tmp_path: Path) -> None:
    check_comfy(png(tmp_path, {"prompt": comfy(), "workflow": {"nodes": []}}))


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_comfyui_in_exif(tmp_path: Path, ending: str) -> None:
    text = json.dumps(comfy())
    check_comfy(exif(tmp_path, ending, {0x0110: f"prompt:{text}", 0x010F: "workflow:{}"}))
    check_comfy(exif(tmp_path, ending, {0x010E: "Workflow:{}", 0x010F: f"Prompt:{text}"}))


def test_comfyui_with_a_sampler_of_parts(tmp_path: Path) -> None:
    graph = comfy(
        n3=node("SamplerCustomAdvanced", noise=["20", 0], guider=["21", 0], sampler=["22", 0],
                sigmas=["23", 0], latent_image=["5", 0]),
        n20=node("RandomNoise", noise_seed=156680208700286),
        n21=node("CFGGuider", cfg=8, model=["11", 0], positive=["6", 0], negative=["7", 0]),
        n22=node("KSamplerSelect", sampler_name="dpmpp_2m"),
        n23=node("BasicScheduler", scheduler="karras", steps=20, denoise=1, model=["11", 0]),
    )  # fmt: skip
    check_comfy(png(tmp_path, {"prompt": graph}))
    graph["3"] = node("SamplerCustom", add_noise=True, noise_seed=156680208700286, cfg=8,
                      model=["11", 0], positive=["6", 0], negative=["7", 0], sampler=["22", 0],
                      sigmas=["23", 0], latent_image=["5", 0])  # fmt: skip
    check_comfy(png(tmp_path, {"prompt": graph}))


def test_comfyui_of_two_passes(tmp_path: Path) -> None:
    """The first has the seed and the size that were typed; a refiner's sampler is no other one."""
    second = dict(comfy()["3"]["inputs"], seed=1, denoise=0.5, latent_image=["13", 0])
    graph = comfy(
        n12=node("KSampler", **second),
        n13=node("LatentUpscale", width=1664, height=2432, samples=["3", 0]),
        n8=node("VAEDecode", samples=["12", 0], vae=["4", 2]),
    )
    check_comfy(png(tmp_path, {"prompt": graph}))
    first = node("KSamplerAdvanced", add_noise="enable", noise_seed=156680208700286, steps=20,
                 cfg=8, sampler_name="dpmpp_2m", scheduler="karras", start_at_step=0,
                 end_at_step=16, model=["11", 0], positive=["6", 0], negative=["7", 0],
                 latent_image=["5", 0])  # fmt: skip
    check_comfy(png(tmp_path, {"prompt": comfy(n3=first)}))


def test_comfyui_with_values_and_texts_of_other_nodes(tmp_path: Path) -> None:
    graph = comfy(
        n6=node("CLIPTextEncodeSDXL", text_g=["30", 0], text_l=["30", 0], clip=["31", 0]),
        n30=node("String Literal", string="a fox"),
        n31=node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["10", 1]),
        n32=node("Seed (rgthree)", seed=156680208700286),
        n33=node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0], strength=1),
    )
    graph["3"]["inputs"] |= {"seed": ["32", 0], "positive": ["33", 0], "negative": ["33", 1]}
    check_comfy(png(tmp_path, {"prompt": graph}), clip_skip=2)
    graph = comfy(
        n40=node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["41", 0]),
        n41=node("CLIPTextEncode", text="in snow", clip=["10", 1]),
    )
    graph["3"]["inputs"]["positive"] = ["40", 0]
    check_comfy(png(tmp_path, {"prompt": graph}), prompt="a fox, in snow")


def test_comfyui_with_lists_of_loras(tmp_path: Path) -> None:
    rgthree = node("Power Lora Loader (rgthree)", PowerLoraLoaderHeaderWidget={"type": "x"},
                   lora_1={"on": True, "lora": "ink.safetensors", "strength": 0.8,
                           "strengthTwo": 0.5},
                   lora_2={"on": False, "lora": "off.safetensors", "strength": 1},
                   lora_3={"on": True, "lora": "neon.safetensors", "strength": 0.4},
                   model=["4", 0], clip=["4", 1])  # fmt: skip
    graph = comfy(n10=None, n11=rgthree)
    for id in ("6", "7"):
        graph[id]["inputs"]["clip"] = ["11", 1]
    check_comfy(png(tmp_path, {"prompt": graph}))
    stack = node("CR LoRA Stack", switch_1="On", lora_name_1="ink.safetensors", model_weight_1=0.8,
                 clip_weight_1=0.5, switch_2="Off", lora_name_2="off.safetensors",
                 model_weight_2=1, clip_weight_2=1, switch_3="On", lora_name_3="neon.safetensors",
                 model_weight_3=0.4, clip_weight_3=0.4)  # fmt: skip
    applied = node("CR Apply LoRA Stack", model=["4", 0], clip=["4", 1], lora_stack=["10", 0])
    check_comfy(png(tmp_path, {"prompt": comfy(n10=stack, n11=applied)}))


def test_comfyui_with_loaders_that_take_tags(tmp_path: Path) -> None:
    manager = node("Lora Loader (LoraManager)", text="<lora:a:9>", model=["4", 0], loras={
        "__value__": [{"name": "ink", "strength": "0.8", "clipStrength": 0.5},
                      {"name": "neon", "strength": 0.4, "active": True},
                      {"name": "off", "strength": 1, "active": False}, None]})  # fmt: skip
    check_comfy(png(tmp_path, {"prompt": comfy(n11=manager)}))
    tags = node("LoraTagLoader", text="a <lora:ink:0.8:0.5> <lora:neon:0.4>", model=["4", 0])
    check_comfy(png(tmp_path, {"prompt": comfy(n11=tags)}))
    both = node("CLIPTextEncode", text="a fox <lora:neon:0.4>", clip=["4", 1])
    said = png(tmp_path, {"prompt": comfy(n11=tags, n6=both)})
    check_comfy(said, prompt="a fox <lora:neon:0.4>", loras=[("ink", 0.8, 0.5)])
    broken = node("LoraTagLoader", text="<lora:ink:strong>", model=["4", 0])
    check_comfy(png(tmp_path, {"prompt": comfy(n11=broken)}), loras=[])


def test_comfyui_with_texts_put_together(tmp_path: Path) -> None:
    encode = node("CLIPTextEncode", text=["20", 0], clip=["4", 1])
    whole = node("StringConcatenate", string_a="a", string_b=["21", 0], delimiter=" ")
    part = node("CR Text Concatenate", text1=["22", 0], text2="", separator="")
    word = node("PrimitiveString", value="fox")
    graph = comfy(n6=encode, n20=whole, n21=part, n22=word)
    check_comfy(png(tmp_path, {"prompt": graph}))
    graph["20"]["inputs"]["string_b"] = ["20", 0]
    check_comfy(png(tmp_path, {"prompt": graph}), prompt="a")
    twice = node("JoinStrings", string1=["22", 0], string2=["22", 0], delimiter="+")
    check_comfy(png(tmp_path, {"prompt": {**graph, "20": twice}}), prompt="fox+fox")
    chain = {str(n): node("StringConcatenate", string_a=[str(n + 1), 0], string_b=[str(n + 1), 0])
             for n in range(20, 9000)}  # fmt: skip
    with bounded(10.0):
        png(tmp_path, {"prompt": comfy(n6=encode) | chain})


def test_comfyui_with_zeros_for_the_negative_prompt(tmp_path: Path) -> None:
    """The text behind the node that gives zeros counts for nothing."""
    zeros = node("ConditioningZeroOut", conditioning=["6", 0])
    said = png(tmp_path, {"prompt": comfy(n7=zeros)})
    check_comfy(said, negative_prompt="", empty_negative="zeros")
    empty = node("CLIPTextEncode", text="", clip=["4", 1])
    said = png(tmp_path, {"prompt": comfy(n7=empty)})
    check_comfy(said, negative_prompt="", empty_negative="encoded")


def test_comfyui_takes_the_text_that_was_decided(tmp_path: Path) -> None:
    encode = node("ImpactWildcardEncode", wildcard_text="a {fox|cat}", populated_text="a fox")
    check_comfy(png(tmp_path, {"prompt": comfy(n6=encode)}))


def test_comfyui_with_a_loader_of_all(tmp_path: Path) -> None:
    loader = node("Efficient Loader", ckpt_name="sd_xl_base_1.0.safetensors",
                  lora_name="ink.safetensors", lora_model_strength=0.8, lora_clip_strength=0.5,
                  positive="a fox", negative="blurry", empty_latent_width=832,
                  empty_latent_height=1216, batch_size=1)  # fmt: skip
    sampler = node("KSampler (Efficient)", seed=156680208700286, steps=20, cfg=8,
                   sampler_name="dpmpp_2m", scheduler="karras", denoise=1, model=["1", 0],
                   positive=["1", 1], negative=["1", 2], latent_image=["1", 3])  # fmt: skip
    graph = {"1": loader, "2": sampler, "3": node("SaveImage", images=["2", 5])}
    check_comfy(png(tmp_path, {"prompt": graph}), loras=[("ink", 0.8, 0.5)])


def test_comfyui_of_which_only_the_workflow_is_there(tmp_path: Path) -> None:
    def box(id: int, kind: str, values: list[Any], **links: int) -> dict[str, Any]:
        slots = [{"name": name, "link": link} for name, link in links.items()]
        return {"id": id, "type": kind, "mode": 0, "widgets_values": values, "inputs": slots}

    nodes = [
        box(4, "CheckpointLoaderSimple", ["sd_xl_base_1.0.safetensors"]),
        box(10, "LoraLoader", ["ink.safetensors", 0.8, 0.5], model=1, clip=2),
        dict(box(11, "LoraLoader", ["muted.safetensors", 1, 1], model=3, clip=2), mode=4),
        box(5, "EmptyLatentImage", [832, 1216, 1]),
        box(6, "CLIPTextEncode", ["a fox"], clip=4),
        box(7, "CLIPTextEncode", ["blurry"], clip=4),
        box(3, "KSampler", [156680208700286, "randomize", 20, 8, "dpmpp_2m", "karras", 1],
            model=5, positive=6, negative=7, latent_image=8),
        box(9, "SaveImage", ["ComfyUI"], images=9),
    ]  # fmt: skip
    links = [
        [1, 4, 0, 10, 0, "MODEL"], [2, 4, 1, 10, 1, "CLIP"], [3, 10, 0, 11, 0, "MODEL"],
        [4, 10, 1, 6, 0, "CLIP"], [5, 11, 0, 3, 0, "MODEL"], [6, 6, 0, 3, 1, "CONDITIONING"],
        [7, 7, 0, 3, 2, "CONDITIONING"], [8, 5, 0, 3, 3, "LATENT"], [9, 3, 0, 9, 0, "IMAGE"],
    ]  # fmt: skip
    said = png(tmp_path, {"workflow": {"nodes": nodes, "links": links}})
    check_comfy(said, loras=[("ink", 0.8, 0.5)])


def test_comfyui_without_a_sampler_is_still_known_by_name(tmp_path: Path) -> None:
    said = png(tmp_path, {"prompt": {"1": node("LoadImage", image="a.png")}})
    assert (said.program, said.info) == ("ComfyUI", None)


# Hostile files.


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


HEAD = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 32, 8, 2, 0, 0, 0))


@pytest.mark.parametrize(
    ("rest", "note"),
    [
        (chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(300_000_000))), "larger than"),
        (b"".join(chunk(b"tEXt", b"k%d\0" % n + bytes(1_000_000)) for n in range(20)), "larger"),
        (chunk(b"zTXt", b"parameters\0\0no zlib"), "packed text is broken"),
        (chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"), "EXIF is broken"),
        (chunk(b"iTXt", b"loraswitch\0\0\0\0\0" + b"[" * 1_000_000), "loraswitch wrote"),
        (chunk(b"iTXt", b"loraswitch\0\0\0\0\0{}"), "loraswitch wrote"),
        (b"\x7f\xff\xff\xfftEXtparameters\0", "larger"),
    ],
)
def test_hostile_texts_are_bounded_and_said(tmp_path: Path, rest: bytes, note: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(HEAD + rest)
    with bounded(1.0, 100):
        said = read_picture(path)
    assert any(note in words for words in said.notes), said.notes


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"prompt":' * 100_000,
        json.dumps({n: node("KSampler", seed=[str(n), 0], steps=["0", 0]) for n in range(5000)}),
        json.dumps({n: node("X", a=[str(n + 1), 0], seed=1, steps=["1", 0]) for n in range(9)}),
        '{"1": {"class_type": "KSampler", "inputs": 3}, "2": 5, "3": null}',
        '{"1": {"class_type": [1], "inputs": {"seed": {}, "steps": [[]], "positive": ["1", 0]}}}',
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "null", "1e999", "\0",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "key", ["prompt", "workflow", "invokeai_metadata", "Comment", "parameters"]
)
def test_odd_texts_are_read_in_no_time(tmp_path: Path, key: str, text: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(HEAD + chunk(b"iTXt", key.encode() + b"\0\0\0\0\0" + text.encode()))
    with bounded(2.0, 200):
        read_picture(path)


@given(st.binary(max_size=80), st.sampled_from(["png", "jpeg", "webp"]))
def test_broken_files_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, rest: bytes, kind: str
) -> None:
    start = {"png": HEAD, "jpeg": b"\xff\xd8\xff\xe1", "webp": b"RIFF\0\0\0\0WEBP"}[kind]
    path = tmp_path_factory.getbasetemp() / "broken"
    for content in (start + rest, (start + rest)[: len(rest)]):
        path.write_bytes(content)
        with suppress(FileFormatError):
            read_picture_texts(path)


def test_sizes_of_all_kinds_of_webp(tmp_path: Path) -> None:
    for lossless, data in ((True, b""), (False, b""), (True, b"x")):
        path = tmp_path / "x.webp"
        more = {"xmp": data} if data else {}
        Image.new("RGB", (333, 211)).save(path, lossless=lossless, **more)
        found = read_picture_texts(path)
        assert (found.width, found.height) == (333, 211)
