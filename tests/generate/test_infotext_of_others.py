"""Infotexts as other programs write them, after their documented formats and real pictures."""

from __future__ import annotations

import json

import pytest

from engine.generate.infotext import Infotext, parse_infotext
from engine.generate.infotext.passes import HiresUsed, StartUsed


def extra(info: Infotext) -> dict[str, str]:
    return dict(info.extra)


def test_a1111() -> None:
    info = parse_infotext(
        "multi\nline\nNegative prompt: low\nquality\n"
        "Steps: 20, Sampler: DPM++ 2M SDE Karras, CFG scale: 4.5, Seed: 1, Size: 832x1216, "
        'Denoising strength: 0.4, Hires upscaler: "4x, sharp", Clip skip: 2, RNG: NV, '
        "VAE hash: 63aeecb90f, VAE: sdxl_vae.safetensors, "
        'ADetailer prompt: "face, Steps: 99, Seed: 7\\nSampler: LMS", '
        'Lora hashes: "a: 0123456789ab, b: ba9876543210", TI hashes: "neg: c74b4e810b03", '
        "Version: v1.10.1"
    )
    assert (info.prompt, info.negative_prompt) == ("multi\nline", "low\nquality")
    assert (info.sampler, info.schedule) == ("DPM++ 2M SDE", "Karras")
    assert (info.steps, info.cfg_scale, info.width, info.height) == (20, 4.5, 832, 1216)
    assert (info.seed, info.clip_skip, info.rng, info.version) == (1, 2, "NV", "v1.10.1")
    assert (info.vae, info.vae_hash) == ("sdxl_vae", "63aeecb90f")
    assert info.lora_hashes == (("a", "0123456789ab"), ("b", "ba9876543210"))
    assert info.embedding_hashes == (("neg", "c74b4e810b03"),)
    assert info.hires == HiresUsed(denoising=0.4, upscaler="4x, sharp")
    assert extra(info)["ADetailer prompt"].startswith("face, Steps: 99")


def test_passes_of_a1111() -> None:
    """A picture that was begun with, and a hires fix, whose strength has one name."""
    begun = parse_infotext(
        "a\nSteps: 20, Sampler: Euler, Seed: 1, Denoising strength: 0.5, Mask blur: 4"
    )
    assert begun.start == StartUsed(denoising=0.5, mask_blur=4.0)
    assert begun.hires is None
    enlarged = parse_infotext(
        "a\nSteps: 20, Sampler: Euler, Seed: 1, Size: 832x1216, Denoising strength: 0.7, "
        'Hires prompt: "b, c", Hires resize: 1248x1824, Hires steps: 12, Hires upscaler: Latent, '
        'RP Ratios: "1,2"'
    )
    assert enlarged.start is None
    assert enlarged.hires == HiresUsed(0.7, 1.5, 12, "Latent", "b, c")
    assert enlarged.region_ratios == "1,2"


def test_a1111_with_civitais_hashes() -> None:
    """The extension for Civitai writes JSON without quotes; what A1111 says itself goes first."""
    hashes = {
        "model": "abcdef1234",
        "vae": "63aeecb90f",
        "lora:add_detail": "7c6bad76eb",
        "LORA:ink": "111",
        "lyco:old": "222",
        "embed:easy": "333",
    }
    info = parse_infotext(
        "a cat <lora:add_detail:0.5>\nSteps: 20, Sampler: Euler a, CFG scale: 7, "
        f"Seed: {2**64 - 1}, Size: 512x512, Hashes: {json.dumps(hashes)}, "
        'Lora hashes: "ink: 999999999999", Civitai resources: [{"type": "lora", "weight": 0.5, '
        '"modelName": "Detail Tweaker", "x": "Steps: 99, Seed: 3"}]'
    )
    assert info.seed == 2**64 - 1
    assert (info.model_hash, info.vae_hash) == ("abcdef1234", "63aeecb90f")
    assert dict(info.lora_hashes) == {
        "ink": "999999999999",
        "add_detail": "7c6bad76eb",
        "old": "222",
    }
    assert info.embedding_hashes == (("easy", "333"),)
    assert info.loras == (), "the tag says it already"
    assert json.loads(extra(info)["Hashes"]) == hashes


def test_forge() -> None:
    info = parse_infotext(
        "a fox <lora:ink:1>\nSteps: 20, Sampler: Euler, Schedule type: Beta, CFG scale: 1, "
        "Distilled CFG Scale: 3.5, Seed: 12345, Size: 896x1152, Model hash: 06f96f89f6, "
        'Model: sdxl, Lora hashes: "ink: bd081f6e5b13", Module 1: ae, Module 2: clip_l, '
        "Diffusion in Low Bits: Automatic (fp16 LoRA), Version: f2.0.1v1.10.1-previous-544"
    )
    assert (info.sampler, info.schedule, info.cfg_scale) == ("Euler", "Beta", 1.0)
    assert extra(info)["Module 1"] == "ae"
    assert extra(info)["Distilled CFG Scale"] == "3.5"
    assert (info.version or "").startswith("f2.0.1")


SDNEXT = (
    "Steps: 10, Seed: 1003952981, Sampler: DPM SDE, Scheduler: DPMSolverSDEScheduler, "
    "CFG scale: 4, Size: 768x1152, Parser: Full parser, Model: tales_v121, Model hash: f758af2038, "
    "Backend: Diffusers, App: SD.Next, Version: 900264a, Operations: upscale; hires; txt2img, "
    "Sampler sigma: karras, Clip skip: 2.0, VAE: Automatic, "
    'ADetailer prompt: "photo, Steps: 99, Seed: 4", LoRA networks: ink'
)


@pytest.mark.parametrize("width", [10, 17, 23, 40, 60, 90, 400])
def test_sdnext_also_wrapped_over_lines(width: int) -> None:
    """A line may end anywhere between two words, in a name and in a value too."""
    lines = [""]
    for word in SDNEXT.split(" "):
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    info = parse_infotext("\n".join(["a fox", "Negative prompt: bad", *lines]))
    assert (info.prompt, info.negative_prompt) == ("a fox", "bad")
    assert (info.steps, info.seed, info.cfg_scale) == (10, 1003952981, 4.0)
    assert (info.sampler, info.schedule) == ("DPM++ SDE", "Karras")
    assert (info.width, info.height, info.clip_skip) == (768, 1152, 2)
    assert (info.model, info.model_hash, info.version) == ("tales_v121", "f758af2038", "900264a")
    assert info.vae is None, "the model's own"
    assert extra(info)["Parser"] == "Full parser"
    assert extra(info)["Operations"] == "upscale; hires; txt2img"
    assert extra(info)["LoRA networks"] == "ink"


def test_sdnext_of_2023() -> None:
    info = parse_infotext(
        "a planet\nNegative prompt: face\nVersion: aa62f6d, Pipeline: Original,\n"
        "Steps: 25 | Seed: 1879635471 | Sampler: Euler a | CFG scale: 7 | Size: 768x512 | "
        "Model: animated_v122 | Clip skip: 2 | Image CFG scale: 6"
    )
    assert (info.prompt, info.negative_prompt) == ("a planet", "face")
    assert (info.steps, info.seed, info.sampler) == (25, 1879635471, "Euler a")
    assert (info.width, info.model, info.version) == (768, "animated_v122", "aa62f6d")


def test_a_setting_a_line() -> None:
    info = parse_infotext("x\nSteps: 35\nSampler: Euler\nCFG scale: 1\nSeed: 3\nSize: 896x1152")
    assert info == Infotext(
        "x", steps=35, sampler="Euler", cfg_scale=1.0, seed=3, width=896, height=1152
    )


SWARM = {
    "prompt": "a photo of a cat",
    "negativeprompt": "",
    "model": "OfficialStableDiffusion/sd_xl_base_1.0",
    "seed": 1,
    "steps": 20,
    "cfgscale": 7.0,
    "aspectratio": "1:1",
    "width": 1024,
    "height": 1024,
    "sampler": "dpmpp_2m",
    "scheduler": "karras",
    "loras": ["illustrious/748cm", "neon.safetensors"],
    "loraweights": ["0.3", "0.8"],
    "clipstopatlayer": -2,
    "zeronegative": True,
    "automaticvae": True,
    "swarm_version": "0.9.3.1",
}


def swarm(**changes: object) -> str:
    models = [
        {"name": "sd_xl_base_1.0.safetensors", "param": "model", "hash": "0x31e35c80fc0123456789"},
        {"name": "neon.safetensors", "param": "loras", "hash": "0xe8055d97ec312203aaaa"},
    ]
    return json.dumps(
        {"sui_image_params": {**SWARM, **changes}, "sui_extra_data": {}, "sui_models": models},
        indent=2,
    )


def test_swarm() -> None:
    info = parse_infotext(swarm())
    assert (info.prompt, info.negative_prompt) == ("a photo of a cat", "")
    assert (info.sampler, info.schedule, info.steps) == ("DPM++ 2M", "Karras", 20)
    assert (info.cfg_scale, info.seed, info.width, info.height) == (7.0, 1, 1024, 1024)
    assert (info.clip_skip, info.empty_negative) == (2, "zeros")
    assert (info.model, info.model_hash) == (
        "OfficialStableDiffusion/sd_xl_base_1.0",
        "31e35c80fc01",
    )
    assert [(lora.name, lora.unet, lora.text_encoder) for lora in info.loras] == [
        ("illustrious/748cm", 0.3, 0.3),
        ("neon", 0.8, 0.8),
    ]
    assert info.lora_hashes == (("neon", "e8055d97ec31"),)
    assert extra(info) == {"aspectratio": "1:1", "automaticvae": "true"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"loras": "ink,neon", "loraweights": "0.3,0.8"}, [("ink", 0.3, 0.3), ("neon", 0.8, 0.8)]),
        ({"loratencweights": ["1", "0"]}, [("illustrious/748cm", 0.3, 1.0), ("neon", 0.8, 0.0)]),
        ({"loraweights": ["0.3"]}, [("illustrious/748cm", 0.3, 0.3), ("neon", 1.0, 1.0)]),
        ({"loraweights": [0.3, "much"]}, [("illustrious/748cm", 0.3, 0.3), ("neon", 1.0, 1.0)]),
        ({"prompt": "a cat <lora:748cm:1>"}, [("neon", 0.8, 0.8)]),
        ({"loras": ["ink", "ink"]}, [("ink", 0.3, 0.3), ("ink", 0.8, 0.8)]),
        ({"loras": []}, []),
        ({"loras": None}, []),
        ({"loras": 7}, []),
    ],
)
def test_swarms_loras(changes: dict[str, object], expected: list[tuple[str, float, float]]) -> None:
    loras = parse_infotext(swarm(**changes)).loras
    assert [(lora.name, lora.unet, lora.text_encoder) for lora in loras] == expected


FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)",
    "base_model": "juggernautXL_v8",
    "base_model_hash": "aeb7e9e689",
    "clip_skip": 2,
    "full_negative_prompt": ["dull", "anime"],
    "full_prompt": ["a cat", "cinematic still a cat"],
    "guidance_scale": 4,
    "lora_combined_1": "offset : 0.1",
    "loras": [["offset", 0.1, "4852686128"]],
    "metadata_scheme": "fooocus",
    "negative_prompt": "dull",
    "performance": "Speed",
    "prompt": "a cat",
    "resolution": "(896, 1152)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "4590034657615269725",
    "sharpness": 2,
    "steps": 30,
    "vae": "Default (model)",
    "version": "Fooocus v2.5.0",
}


def test_fooocus_in_its_own_form() -> None:
    info = parse_infotext(json.dumps(FOOOCUS))
    assert (info.prompt, info.negative_prompt) == ("a cat", "dull")
    assert (info.sampler, info.schedule, info.steps) == ("DPM++ 2M SDE", "Karras", 30)
    assert (info.cfg_scale, info.seed, info.clip_skip) == (4.0, 4590034657615269725, 2)
    assert (info.width, info.height) == (896, 1152)
    assert (info.model, info.model_hash, info.vae) == ("juggernautXL_v8", "aeb7e9e689", None)
    assert [(lora.name, lora.unet) for lora in info.loras] == [("offset", 0.1)]
    assert info.lora_hashes == (("offset", "4852686128"),)
    assert json.loads(extra(info)["full_prompt"]) == FOOOCUS["full_prompt"]


def test_fooocus_from_its_log() -> None:
    """Its log and clipboard have the words of its screen, and LoRAs by number."""
    info = parse_infotext(
        '{"Prompt": "a cat", "Negative Prompt": "dull", "Resolution": "(896, 1152)", "Steps": 30, '
        '"Guidance Scale": 4.0, "Base Model": "jugger.safetensors", "Sampler": "euler_ancestral", '
        '"Seed": "5", "LoRA 1": "offset.safetensors : 0.1", "lora_combined_2": "True : ink : 0.5", '
        '"LoRA 3": "None : 1.0", "LoRA 4": "False : off : 1.0", "LoRA 5": "odd"}'
    )
    assert (info.prompt, info.negative_prompt, info.sampler) == ("a cat", "dull", "Euler a")
    assert (info.width, info.cfg_scale, info.model, info.seed) == (896, 4.0, "jugger", 5)
    assert [(lora.name, lora.unet) for lora in info.loras] == [("offset", 0.1), ("ink", 0.5)]


@pytest.mark.parametrize(
    "loras",
    [
        'Lora hashes: "offset: 4852686128, ink: 00", Lora weights: "offset: 0.1, ink: 0.5"',
        'Lora hashes: "offset: 4852686128: 0.1, ink: 00: 0.5"',
    ],
)
def test_fooocus_as_it_writes_for_a1111(loras: str) -> None:
    info = parse_infotext(
        "cinematic still a cat\nNegative prompt: anime\nSteps: 30, Sampler: DPM++ 2M SDE Karras, "
        "Seed: 123, Size: 896x1152, CFG scale: 4, Sharpness: 2, ADM Guidance: "
        '"(1.5, 0.8, 0.3)", Model: jugger, Model hash: aeb7e9e689, Performance: Speed, '
        "Scheduler: karras, VAE: Default (model), Raw prompt: a cat, Raw negative prompt: , "
        f"{loras}, Version: Fooocus v2.5.0"
    )
    assert (info.prompt, info.negative_prompt) == ("cinematic still a cat", "anime")
    assert (info.sampler, info.schedule) == ("DPM++ 2M SDE", "Karras")
    assert [(lora.name, lora.unet) for lora in info.loras] == [("offset", 0.1), ("ink", 0.5)]
    assert info.lora_hashes == (("offset", "4852686128"), ("ink", "00"))
    assert extra(info)["ADM Guidance"] == "(1.5, 0.8, 0.3)"


CIVITAI = (
    "Steps: 22, Sampler: DPM++ 2M Karras, CFG scale: 3.8, Seed: 894409639, Size: 832x1216, "
    "Clip skip: 2, Created Date: 2024-09-23T06:17:42.9952795Z, Civitai resources: "
    '[{"type":"checkpoint","modelVersionId":128078,"modelName":"SD XL","modelVersionName":"v1.0"},'
    '{"type":"lora","weight":0.85,"modelVersionId":210432,"modelName":"Double, Exposure: 2"},'
    '{"type":"lycoris","modelVersionId":3},{"type":"embed","weight":1,"modelName":"negativeXL"},'
    '{"air":"urn:air:sdxl:lora:civitai:1@2","weight":0.74}], Civitai metadata: {"remixOfId":1}'
)


@pytest.mark.parametrize("between", ["\n", " "])
def test_civitais_generator(between: str) -> None:
    """Some sites give the text back with its lines strung together."""
    info = parse_infotext(between.join(["a cat", "Negative prompt: dull", CIVITAI]))
    assert (info.prompt, info.negative_prompt) == ("a cat", "dull")
    assert (info.steps, info.seed, info.clip_skip, info.width) == (22, 894409639, 2, 832)
    assert (info.sampler, info.schedule, info.model) == ("DPM++ 2M", "Karras", "SD XL")
    assert [(lora.name, lora.unet) for lora in info.loras] == [
        ("Double, Exposure 2", 0.85),
        ("civitai-3", 1.0),
        ("civitai-2", 0.74),
    ]
    assert extra(info)["Created Date"] == "2024-09-23T06:17:42.9952795Z"
    assert extra(info)["Civitai metadata"] == '{"remixOfId":1}'


def test_civitai_without_a_clip_skip_or_a_sampler() -> None:
    info = parse_infotext(
        "a cat Negative prompt: Steps: 23, Sampler: Undefined, CFG scale: 3.5, Seed: 1, "
        "Size: 832x1216, Clip skip: 0, Civitai metadata: {}"
    )
    assert (info.prompt, info.negative_prompt) == ("a cat", "")
    assert (info.sampler, info.clip_skip, info.seed) == ("Undefined", None, 1)


def test_invoke_ai() -> None:
    info = parse_infotext(
        '{"generation_mode": "sdxl_txt2img", "positive_prompt": "dark", "negative_prompt": "frame",'
        ' "width": 832, "height": 1216, "seed": 1554095076, "cfg_scale": 15.0, "steps": 50,'
        ' "scheduler": "dpmpp_2m_sde_k", "model": {"name": "duchaiten", "base": "sdxl"},'
        ' "loras": [{"model": {"name": "ink"}, "weight": 0.7}, {"lora": {"model_name": "b"},'
        ' "weight": 1}], "app_version": "5.4.3"}'
    )
    assert (info.prompt, info.negative_prompt, info.cfg_scale) == ("dark", "frame", 15.0)
    assert (info.sampler, info.schedule) == ("DPM++ 2M SDE", "Karras")
    assert (info.model, info.version) == ("duchaiten", "5.4.3")
    assert [(lora.name, lora.unet) for lora in info.loras] == [("ink", 0.7), ("b", 1.0)]


def test_comfyui_nodes_that_write_for_a1111() -> None:
    info = parse_infotext(
        "a cat\nNegative prompt: dull\nSteps: 20, Sampler: dpmpp_2m_sde_gpu_exponential, "
        'CFG scale: 7, Seed: 5, Size: 832x1216, Model: jugger, TI hashes: "", Version: ComfyUI\n'
        'Civitai resources: [{"air": "urn:air:sdxl:checkpoint:civitai:1@2"}]'
    )
    assert (info.sampler, info.schedule) == ("DPM++ 2M SDE", "Exponential")
    assert (info.model, info.version) == ("jugger", "ComfyUI")
    assert "Civitai resources" in extra(info)


@pytest.mark.parametrize("negative", ["", "\nNegative Template: bad, __badprompt__\nor worse"])
def test_templates_of_dynamic_prompts(negative: str) -> None:
    info = parse_infotext(
        "1girl, red hair\nNegative prompt: bad\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, "
        "Seed: 1234, Size: 832x1216, Model hash: 31e35c80fc\n"
        f"Template: 1girl, __haircolor__\n{{a|b: 3, c: 4, d: 5}}{negative}"
    )
    assert (info.prompt, info.negative_prompt) == ("1girl, red hair", "bad")
    assert (info.steps, info.seed, info.width, info.model_hash) == (20, 1234, 832, "31e35c80fc")
    assert extra(info)["Template"] == "1girl, __haircolor__\n{a|b: 3, c: 4, d: 5}"
    assert extra(info).get("Negative Template") == (
        "bad, __badprompt__\nor worse" if negative else None
    )


@pytest.mark.parametrize(
    "hostile",
    [
        '"1, Steps: 99, Seed: 7"',
        '"a \\" , Steps: 99"',
        '{"a": {"Steps": 99, "b": "]}"}, "c": [1, 2]}',
        '[{"x": "Steps: 99, Seed: 7"}, 1]',
        '{"model": "Steps: 99"}}}}))>>',
        "{a, Steps: 99, Seed: 7}",
        "(1.5, Steps: 99, 0.3)",
        '{"a": "' + "Steps: 99, " * 50 + '"}',
    ],
)
@pytest.mark.parametrize("name", ["Hashes", "Civitai metadata", "Tiled Diffusion", "Foo"])
def test_nothing_inside_quotes_or_json_becomes_a_setting(name: str, hostile: str) -> None:
    info = parse_infotext(f"a\n{name}: {hostile}, Steps: 20, Sampler: Euler, Seed: 5, CFG scale: 3")
    assert (info.steps, info.seed, info.cfg_scale) == (20, 5, 3.0)
    info = parse_infotext(f"a\nSteps: 20, {name}: {hostile}, Seed: 5, CFG scale: 3")
    assert (info.steps, info.seed, info.cfg_scale) == (20, 5, 3.0)
    assert {key for key, _ in info.extra} == {name}


def test_the_first_of_a_repeated_name_counts() -> None:
    info = parse_infotext(
        "a\nSteps: 20, Seed: 5, Sampler: Euler, Foo bar: 1, Seed: 6, steps: 9, Foo bar: 2, "
        'Hashes: {"model": "aa", "model": "bb"}'
    )
    assert (info.steps, info.seed, info.model_hash) == (20, 5, "aa")
    assert extra(info)["Foo bar"] == "1"
    info = parse_infotext('{"prompt": "a", "seed": 5, "steps": 20, "seed": 6, "Steps": 9}')
    assert (info.steps, info.seed) == (20, 5)


@pytest.mark.parametrize(
    "unit",
    [" ", ":", ",", "a: ", 'a"', 'ab: "', 'ab: ["', "ab: [", "[", "ab: [1,", "{", 'ab: {"a":', "a",
     "ab ", "\\", '\\"', "\n", "ab: 1\n", "Steps: 2\n", "Steps: 2, ", "Negative prompt: x\n",
     "Template: x\n", "<lora:a:1>", "<lora:", "Karras ", "a: b, ", "1", "狐", "ab:(", "x | ", "-/"],
)  # fmt: skip
def test_long_texts_are_read_without_hanging(unit: str) -> None:
    """Each costs milliseconds by code whose time grows with the length; by its square, minutes."""
    text = (unit * 30_000)[:30_000]
    settings = "\nSteps: 20, Seed: 1, "
    for whole in (f"a{settings}{text}", f"{text}{settings}Sampler: x", f'{{"seed":1,"x":{text}'):
        parse_infotext(whole)
    for name in ("Sampler", "Size", "Seed", "Lora hashes", "Hashes", "Civitai resources"):
        parse_infotext(f"a{settings}{name}: {text}")


def test_what_cannot_be_read_is_left_out() -> None:
    info = parse_infotext(
        f"a\nSteps: {'9' * 5000}, Sampler: , CFG scale: high, Seed: 1e5, Size: 1024, Clip skip: x"
    )
    assert info == Infotext("a", sampler="")
    for value in ("true", "[]", '{"a": 1}', "1" * 5000, "NaN", "1e999", "[" * 3000 + "]" * 3000):
        info = parse_infotext(f'{{"prompt": "a", "steps": 3, "seed": {value}, "loras": {value}}}')
        assert info.seed is None
        assert "a" in info.prompt


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ("a dance\nSteps: 5, to the left", "a dance\nSteps: 5, to the left", ""),
        ("Steps: 3, up and down", "Steps: 3, up and down", ""),
        ("a\nNegative prompt: b\nSteps: 2, Seed: pod, red", "a", "b\nSteps: 2, Seed: pod, red"),
    ],
)
def test_steps_of_a_dance_are_no_settings(text: str, prompt: str, negative: str) -> None:
    assert parse_infotext(text) == Infotext(prompt, negative)
    info = parse_infotext(f"{text}\nSteps: 20, Sampler: Euler, Seed: 7")
    assert (info.prompt, info.negative_prompt, info.steps) == (prompt, negative, 20)
    assert parse_infotext("a\nSteps: 20, Seed: 7") == Infotext("a", steps=20, seed=7)


def test_a_number_of_any_length_costs_itself_alone() -> None:
    info = parse_infotext(f'{{"prompt": "a", "steps": 3, "seed": {"1" * 5000}, "cfg": 7}}')
    assert info == Infotext("a", steps=3, cfg_scale=7.0)


def test_a_byte_order_mark_is_no_letter() -> None:
    for text in ("a\nSteps: 3, Sampler: Euler, Seed: 5", '{"prompt": "a", "steps": 3, "seed": 5}'):
        info = parse_infotext("\ufeff" + text)
        assert (info.prompt, info.steps, info.seed) == ("a", 3, 5)


def test_a_line_behind_the_settings_is_one_of_its_own() -> None:
    info = parse_infotext("a\nSteps: 3, Sampler: Euler, Model: xl\n\nUsed embeddings: neg [119b]")
    assert info.model == "xl"
    assert extra(info)["Used embeddings"] == "neg [119b]"


def test_a_lora_of_civitai_without_any_name_is_none() -> None:
    info = parse_infotext(
        "a\nSteps: 3, Sampler: Euler, Seed: 1, "
        'Civitai resources: [{"type": "lora", "weight": 0.5, "modelVersionName": "v1"}]'
    )
    assert info.loras == ()
