"""Runs: exact seeds, real step counts, cancelling, refusals, overflow, silence."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import CancelledError, EngineError
from engine.generate.encode import EmbeddingsCache
from engine.generate.quiet import quiet_libraries
from engine.generate.run import GeneratedPicture, generate


@pytest.mark.parametrize(
    "sampler", ["Euler a", "DPM++ 2M SDE", "DPM++ SDE", "Heun", "DPM2 a", "LMS", "UniPC", "LCM"]
)
def test_a_batch_equals_its_pictures_drawn_alone(draw: Any, request_of: Any, sampler: str) -> None:
    batch = draw(request_of(sampler=sampler, seed=7, batch=3, steps=2))
    assert [(picture.seed, picture.index) for picture in batch] == [(7, 0), (8, 1), (9, 2)]
    assert distance(batch[0], batch[1]) > 2
    for picture in batch:
        (alone,) = draw(request_of(sampler=sampler, seed=picture.seed, steps=2))
        assert distance(alone, picture) <= 1


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ SDE", "DPM++ 2M SDE", "LCM"])
def test_seeds_of_all_64_bits_draw(draw: Any, request_of: Any, sampler: str) -> None:
    largest = 2**64 - 1
    seeds = (largest, largest - 1, 2**63)
    pictures = [
        draw(request_of(sampler=sampler, seed=seed, steps=2))[0].image.tobytes() for seed in seeds
    ]
    assert len(set(pictures)) == 3
    batch = draw(request_of(sampler=sampler, seed=largest - 1, batch=2, steps=2))
    assert [picture.seed for picture in batch] == [largest - 1, largest]
    for picture in batch:
        (alone,) = draw(request_of(sampler=sampler, seed=picture.seed, steps=2))
        assert distance(alone, picture) <= 1


def test_an_empty_negative_is_drawn_as_the_request_says(draw: Any, request_of: Any) -> None:
    zeros, encoded, spaces = (
        draw(request_of(**settings))[0].image.tobytes()
        for settings in ({}, {"empty_negative": "encoded"}, {"negative_prompt": " \n"})
    )
    assert zeros == spaces
    assert zeros != encoded
    assert draw(request_of(empty_negative="encoded", negative_prompt="()"))[0].image.tobytes() == (
        encoded
    )


def test_tags_in_the_negative_prompt_are_mentioned(pipe: Any, request_of: Any) -> None:
    report, _ = report_of(pipe, request_of(negative_prompt="cat <lora:ink:1>"))
    (warning,) = report.warnings
    assert "negative prompt" in warning


def test_without_guidance_the_negative_prompt_does_not_count(draw: Any, request_of: Any) -> None:
    plain, other = (
        draw(request_of(cfg_scale=1, negative_prompt=text))[0].image for text in ("", "cat " * 99)
    )
    assert plain.tobytes() == other.tobytes()
    assert draw(request_of())[0].image.tobytes() != plain.tobytes()


@pytest.mark.parametrize(
    ("sampler", "calls"),
    [("Euler", 5), ("LMS", 5), ("Heun", 9), ("DPM2", 9), ("DPM2 a", 9), ("DPM++ SDE", 9)],
)
def test_steps_are_counted_as_calls_of_the_unet(
    pipe: Any, request_of: Any, sampler: str, calls: int
) -> None:
    report, _ = report_of(pipe, request_of(sampler=sampler, steps=5))
    assert report.total_steps == calls


def test_start_tells_the_drawn_seed_and_all_steps(pipe: Any, request_of: Any, draw: Any) -> None:
    started: list[tuple[int, int]] = []
    request = request_of(seed=-1, steps=1, batch=2, sampler="Heun")
    pictures = draw(request, on_start=lambda *start: started.append(start))
    ((seed, total),) = started
    assert total == 2
    assert 0 <= seed < 2**32
    assert [picture.seed for picture in pictures] == [seed, seed + 1]
    again = draw(replace(request, seed=seed))
    assert again[1].image.tobytes() == pictures[1].image.tobytes()


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_pictures_come_as_they_are_finished_however_many_at_once(
    pipe: Any, request_of: Any, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("engine.generate.at_once.MOST_PIXELS", {"cpu": at_once * 64 * 64})
    seen: list[tuple[str, int]] = []
    generate(
        pipe,
        request_of(batch=5, steps=2),
        cancelled=lambda: False,
        on_step=lambda done, *_: seen.append(("step", done)),
        on_picture=lambda picture: seen.append(("picture", picture.index)),
    )
    expected: list[tuple[str, int]] = []
    for start in range(0, 5, at_once):
        group = range(start, min(start + at_once, 5))
        expected += [("step", 2 * start + len(group)), ("step", 2 * start + 2 * len(group))]
        expected += [("picture", index) for index in group]
    assert seen == expected


def test_a_batch_that_does_not_fit_is_drawn_in_halves(
    pipe: Any, draw: Any, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = draw(request_of(batch=4, steps=2))
    tried: list[int] = []
    forward = pipe.unet.forward

    def small(sample: torch.Tensor, *rest: Any, **options: Any) -> Any:
        tried.append(len(sample))
        if len(sample) > 3:
            raise torch.OutOfMemoryError
        return forward(sample, *rest, **options)

    monkeypatch.setattr(pipe.unet, "forward", small)
    halves = draw(request_of(batch=4, steps=2))
    assert tried == [8, 4, *[2] * 8]
    for one, other in zip(whole, halves, strict=True):
        assert distance(one, other) <= 1
    assert len(draw(request_of(batch=2, steps=1))) == 2


@pytest.mark.parametrize(("every", "shown"), [(0, []), (1, [1, 2, 3, 4, 5]), (2, [2, 4, 5])])
def test_previews_come_as_often_as_asked(
    draw: Any, request_of: Any, every: int, shown: list[int]
) -> None:
    steps: list[Any] = []
    draw(request_of(steps=5, preview_every=every), on_step=lambda *step: steps.append(step))
    assert [done for done, _, preview in steps if preview] == shown
    assert all(preview.width == preview.height == 8 for _, _, preview in steps if preview)


class Calls:
    """Counts the calls of the UNet and the VAE while a test runs."""

    def __init__(self, pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.unet = self.vae = 0
        unet, decode = pipe.unet.forward, pipe.vae.decode

        def counted_unet(*arguments: Any, **options: Any) -> Any:
            self.unet += 1
            return unet(*arguments, **options)

        def counted_decode(*arguments: Any, **options: Any) -> Any:
            self.vae += 1
            return decode(*arguments, **options)

        monkeypatch.setattr(pipe.unet, "forward", counted_unet)
        monkeypatch.setattr(pipe.vae, "decode", counted_decode)


@pytest.fixture
def calls(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(pipe, monkeypatch)


@pytest.mark.parametrize("at", [1, 3])
def test_cancelling_takes_effect_within_a_step(
    pipe: Any, draw: Any, request_of: Any, calls: Calls, at: int
) -> None:
    steps: list[int] = []
    with pytest.raises(CancelledError):
        draw(
            request_of(steps=9),
            cancelled=lambda: len(steps) >= at,
            on_step=lambda done, *_: steps.append(done),
        )
    assert steps == list(range(1, at + 1))
    assert calls.unet == at + 1
    assert calls.vae == 0


def test_cancelling_after_the_last_step_spares_the_decoding(
    draw: Any, request_of: Any, calls: Calls
) -> None:
    steps: list[int] = []
    with pytest.raises(CancelledError):
        draw(
            request_of(steps=2),
            cancelled=lambda: len(steps) == 2,
            on_step=lambda done, *_: steps.append(done),
        )
    assert (calls.unet, calls.vae) == (2, 0)


def test_cancelled_before_it_starts(draw: Any, request_of: Any, calls: Calls) -> None:
    with pytest.raises(CancelledError):
        draw(request_of(), cancelled=lambda: True, on_start=pytest.fail)
    assert calls.unet == 0


def test_cancelling_a_batch_keeps_the_finished_pictures(pipe: Any, request_of: Any) -> None:
    pictures: list[Any] = []
    with pytest.raises(CancelledError):
        generate(
            pipe,
            request_of(batch=3, steps=1),
            cancelled=lambda: len(pictures) == 1,
            on_step=lambda *_: None,
            on_picture=pictures.append,
        )
    assert [picture.index for picture in pictures] == [0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 100}, "width 100"),
        ({"height": 56}, "height 56"),
        ({"height": -64}, "height -64"),
        ({"width": 80_000}, "width 80000"),
        ({"steps": 0}, "not 0"),
        ({"steps": 501}, "1 to 500 steps"),
        ({"sampler": ""}, "no sampler"),
        ({"schedule": "Karass"}, "no schedule"),
        ({"batch": 0}, "at least 1 picture"),
        ({"seed": -2}, "seed -2"),
        ({"seed": 2**64}, "seed 18446744073709551616"),
        ({"seed": 2**64 - 1, "batch": 2}, "0 to 18446744073709551614"),
        ({"variation_seed": -2}, "variation seed -2"),
        (
            {"variation_seed": 2**64 - 1, "batch": 2, "variation_strength": 1},
            "variation seed .* 0 to 18446744073709551614",
        ),
        ({"variation_strength": 1.5}, "variation strength 1.5"),
        ({"variation_strength": math.nan}, "variation strength nan"),
        ({"noise": "TPU"}, "CPU, GPU, ComfyUI"),
        ({"empty_negative": "nothing"}, "one of zeros, encoded"),
        ({"cfg_scale": math.nan}, "CFG scale"),
        ({"clip_skip": 0}, "Clip skip"),
        ({"clip_skip": 9}, "Clip skip 9"),
        ({"prompt": "(a:1000)"}, "weight of 1000"),
        ({"negative_prompt": "<lora:ink:much>"}, "much"),
        ({"preview_every": -1}, "every -1"),
    ],
)
def test_requests_that_cannot_be_drawn_never_start(
    draw: Any, request_of: Any, calls: Calls, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        draw(request_of(**settings), on_start=pytest.fail)
    assert calls.unet == 0


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "DDIM", "Heun"])
def test_a_single_step_starts_from_pure_noise(
    pipe: Any, draw: Any, request_of: Any, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    seen: list[float] = []
    unet = pipe.unet.forward

    def note_timestep(sample: torch.Tensor, timestep: Any, *rest: Any, **options: Any) -> Any:
        seen.append(round(float(timestep), 3))
        return unet(sample, timestep, *rest, **options)

    monkeypatch.setattr(pipe.unet, "forward", note_timestep)
    draw(request_of(sampler=sampler, schedule="Uniform", steps=1))
    assert seen == [999.0]


def test_cached_embeddings_give_the_same_picture(
    pipe: Any, draw: Any, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = EmbeddingsCache()
    (first,) = draw(request_of(), embeddings_cache=cache)
    monkeypatch.setattr(pipe.text_encoder_2, "forward", None)
    (second,) = draw(request_of(), embeddings_cache=cache)
    assert first.image.tobytes() == second.image.tobytes()


@pytest.fixture
def half_vae(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A float16 VAE whose decoder starts with values beyond float16's range."""
    vae = copy.deepcopy(pipe.vae)
    with torch.no_grad():
        vae.post_quant_conv.weight.mul_(5e4)
    monkeypatch.setattr(pipe, "vae", vae.half())
    return vae


def distance(one: GeneratedPicture, other: GeneratedPicture) -> int:
    """The largest difference of two pictures, of 255."""
    pixels = (np.asarray(picture.image).astype(int) for picture in (one, other))
    return int(abs(next(pixels) - next(pixels)).max())


def report_of(pipe: Any, request: Any) -> tuple[Any, Any]:
    pictures: list[Any] = []
    report = generate(
        pipe,
        request,
        cancelled=lambda: False,
        on_step=lambda *_: None,
        on_picture=pictures.append,
    )
    return report, pictures


def test_a_vae_that_overflows_decodes_again_in_float32(
    pipe: Any, half_vae: Any, request_of: Any
) -> None:
    before = {name: tensor.clone() for name, tensor in half_vae.state_dict().items()}
    report, pictures = report_of(pipe, request_of(batch=2))
    (warning,) = report.warnings
    assert "float16" in warning
    assert all(torch.equal(half_vae.state_dict()[name], before[name]) for name in before)
    reference = copy.deepcopy(half_vae).float()
    pipe.vae = reference
    assert report_of(pipe, request_of(batch=2))[1][1].image.tobytes() == (
        pictures[1].image.tobytes()
    )


def test_a_vae_that_asks_for_float32_gets_it_without_a_warning(
    pipe: Any, half_vae: Any, request_of: Any
) -> None:
    half_vae.register_to_config(force_upcast=True)
    report, _ = report_of(pipe, request_of())
    assert report.warnings == ()
    assert half_vae.dtype == torch.float16


def test_a_model_that_overflows_is_reported(
    pipe: Any, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(sample: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor]:
        return (torch.full_like(sample, math.inf),)

    monkeypatch.setattr(pipe.unet, "forward", broken)
    report, _ = report_of(pipe, request_of())
    (warning,) = report.warnings
    assert "the model overflowed" in warning


def test_nothing_is_written_to_the_terminal(
    pipe: Any,
    draw: Any,
    request_of: Any,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipe.set_progress_bar_config(disable=False)
    with warnings.catch_warnings(record=True) as complaints:
        quiet_libraries()
        draw(request_of(prompt="red " * 99, sampler="DPM++ SDE"))
    assert capsys.readouterr() == ("", "")
    assert not [c.message for c in complaints if "torchsde" in c.filename]
    for library in ("diffusers", "transformers"):
        handlers = logging.getLogger(library).handlers
        assert not any(type(handler) is logging.StreamHandler for handler in handlers)
        logging.getLogger(f"{library}.somewhere").warning("for the log file")
    assert len(caplog.records) == 2


def test_a_tag_in_brackets_that_change_is_said(pipe: Any, request_of: Any) -> None:
    request = request_of(prompt="[<lora:ink:1> fox:cat:0.5]")
    (warning,) = report_of(pipe, request)[0].warnings
    assert "counts at all steps" in warning
