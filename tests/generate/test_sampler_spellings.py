"""Samplers and schedules as people write them mean the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import sampling
from engine.errors import EngineError
from engine.generate.check import check_request
from engine.protocol.request import GenerateRequest
from engine.words.sampler_names import SAMPLERS, SCHEDULES, USUAL_SCHEDULE
from engine.words.sampler_spellings import read_sampler, read_schedule


@pytest.mark.parametrize(
    ("text", "sampler", "schedule"),
    [
        # A1111 and Forge, now and before schedules had a field of their own
        ("DPM++ 2M Karras", "DPM++ 2M", "Karras"),
        ("DPM++ 2M SDE Exponential", "DPM++ 2M SDE", "Exponential"),
        ("DPM++ 2M SDE Karras", "DPM++ 2M SDE", "Karras"),
        ("DPM++ SDE Karras", "DPM++ SDE", "Karras"),
        ("DPM2 a Karras", "DPM2 a", "Karras"),
        ("LMS Karras", "LMS", "Karras"),
        ("Euler a", "Euler a", None),
        ("Euler A", "Euler a", None),
        ("Euler a SGM Uniform", "Euler a", "SGM Uniform"),
        ("Euler Automatic", "Euler", "Automatic"),
        ("k_euler_a", "Euler a", None),
        ("k_dpmpp_2m_ka", "DPM++ 2M", "Karras"),
        ("k_dpm_2_a_ka", "DPM2 a", "Karras"),
        ("k_lms", "LMS", None),
        ("k_dpm_fast", "DPM fast", None),
        ("k_dpm_ad", "DPM adaptive", None),
        ("k_dpmpp_2s_a", "DPM++ 2S a", None),
        ("k_dpmpp_3m_sde", "DPM++ 3M SDE", None),
        ("k_dpmpp_sde_ka", "DPM++ SDE", "Karras"),
        ("k_lcm", "LCM", None),
        ("ddim_cfgpp", "DDIM CFG++", None),
        ("plms", "PLMS", None),
        ("restart_sampler", "Restart", None),
        ("sample_dpm_2_ancestral", "DPM2 a", None),
        ("sample_dpm_adaptive", "DPM adaptive", None),
        ("sample_dpmpp_2m_sde", "DPM++ 2M SDE", None),
        ("sample_euler_ancestral", "Euler a", None),
        # ComfyUI, SwarmUI, Fooocus
        ("euler", "Euler", None),
        ("euler_ancestral", "Euler a", None),
        ("dpm_2", "DPM2", None),
        ("dpm_2_ancestral", "DPM2 a", None),
        ("dpmpp_2m", "DPM++ 2M", None),
        ("dpmpp_2m_sde", "DPM++ 2M SDE", None),
        ("dpmpp_2m_sde_gpu", "DPM++ 2M SDE", None),
        ("dpmpp_sde_gpu", "DPM++ SDE", None),
        ("uni_pc", "UniPC", None),
        ("uni_pc_bh2", "UniPC BH2", None),
        ("dpmpp_2m_karras", "DPM++ 2M", "Karras"),
        ("euler_normal", "Euler", "Uniform"),
        ("heun_sgm_uniform", "Heun", "SGM Uniform"),
        ("dpmpp_2m_cfg_pp", "DPM++ 2M CFG++", None),
        ("dpmpp_3m_sde", "DPM++ 3M SDE", None),
        ("dpm_adaptive", "DPM adaptive", None),
        ("res_multistep", "Res Multistep", None),
        ("ipndm", "IPNDM", None),
        ("deis", "DEIS", None),
        ("ddpm", "DDPM", None),
        # InvokeAI
        ("dpmpp_2m_k", "DPM++ 2M", "Karras"),
        ("dpmpp_2m_sde_k", "DPM++ 2M SDE", "Karras"),
        ("euler_k", "Euler", "Karras"),
        ("kdpm_2_a", "DPM2 a", None),
        ("unipc", "UniPC", None),
        # SD.Next and diffusers
        ("DPM SDE", "DPM++ SDE", None),
        ("KDPM2", "DPM2", None),
        ("EulerAncestralDiscreteScheduler", "Euler a", None),
        ("DPMSolverMultistepScheduler", "DPM++ 2M", None),
        ("UniPCMultistepScheduler", "UniPC", None),
        ("LCMScheduler", "LCM", None),
        # as typed
        ("dpm++ 2m karras", "DPM++ 2M", "Karras"),
        ("  DPM++2M   Karras ", "DPM++ 2M", "Karras"),
        ("dpm-2m-sde", "DPM++ 2M SDE", None),
        ("DPM++ 2M (Karras)", "DPM++ 2M", "Karras"),
        ("DDIM", "DDIM", None),
        ("euler_cfg_pp", "Euler CFG++", None),
        ("euler_ancestral_cfg_pp", "Euler a CFG++", None),
        ("dpmpp_2s_ancestral_cfg_pp", "DPM++ 2S a CFG++", None),
        ("res_multistep_ancestral", "Res Multistep a", None),
        ("dpmpp_2m_sde_heun_gpu", "DPM++ 2M SDE Heun", None),
        ("er_sde", "ER SDE", None),
        ("heunpp2", "HeunPP2", None),
        ("Euler DDIM", "Euler", "DDIM"),
        # with schedules of few
        ("DPM++ 3M SDE Karras", "DPM++ 3M SDE", "Karras"),
        ("dpmpp_3m_sde_gpu", "DPM++ 3M SDE", None),
        ("DPM++ 2M Align Your Steps", "DPM++ 2M", "Align Your Steps"),
        ("Euler simple", "Euler", "Simple"),
        ("My own SGM Uniform", "My own", "SGM Uniform"),
        ("Undefined", "Undefined", None),
        ("Karras", "Karras", None),
        ("k", "k", None),
        ("", "", None),
    ],
)
def test_spellings(text: str, sampler: str, schedule: str | None) -> None:
    assert read_sampler(text) == (sampler, schedule)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("karras", "Karras"),
        ("sgm_uniform", "SGM Uniform"),
        ("SGMUniform", "SGM Uniform"),
        ("normal", "Uniform"),
        ("auto", "Automatic"),
        ("EXPONENTIAL", "Exponential"),
        ("simple", "Simple"),
        ("no such", "no such"),
        ("", ""),
    ],
)
def test_schedules(text: str, schedule: str) -> None:
    assert read_schedule(text) == schedule


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_names_mean_themselves_alone_and_with_every_schedule(sampler: str) -> None:
    assert read_sampler(sampler) == (sampler, None)
    for schedule in SCHEDULES:
        assert read_sampler(f"{sampler} {schedule}") == (sampler, schedule)
        assert read_sampler(f"{sampler}_{schedule}".replace(" ", "_").lower()) == (
            sampler,
            schedule,
        )


def test_all_that_is_sampled_here_can_be_asked_for() -> None:
    assert set(SAMPLERS) == set(sampling.SAMPLERS)
    # ComfyUI's Normal has the places of Uniform, whose name it gets.
    assert {*SCHEDULES, "Normal"} == set(sampling.SCHEDULES)


@given(st.text(max_size=200))
def test_any_text_comes_back_or_is_understood(text: str) -> None:
    sampler, _ = read_sampler(text)
    assert sampler in SAMPLERS or len(sampler) <= max(len(text), 20)
    assert read_sampler(sampler)[0] == sampler or sampler not in SAMPLERS


@pytest.mark.parametrize("unit", ["k", "karras ", " ", "+", "_", "uniform"])
def test_a_long_text_is_no_spelling(unit: str) -> None:
    text = unit * 100_000
    assert read_sampler(text) == (text.strip(), None)
    assert read_schedule(text) == text.strip()


def request(sampler: str, **settings: str) -> GenerateRequest:
    return GenerateRequest("a fox", Path(), sampler=sampler, **settings)  # type: ignore[arg-type]


def test_requests_of_scripts_may_be_spelled_in_any_way() -> None:
    asked = request("euler_ancestral")
    check_request(asked)
    assert (asked.sampler, asked.schedule) == ("Euler a", "Automatic")
    asked = request("dpmpp_2m", schedule="karras")
    assert (asked.sampler, asked.schedule) == ("DPM++ 2M", "Karras")
    assert asked == request("DPM++ 2M Karras") == request("k_dpmpp_2m_ka")
    assert request("DPM++ 2M SDE Exponential", schedule="Karras").schedule == "Exponential"


def test_every_sampler_can_be_asked_for_by_name_alone() -> None:
    for sampler in SAMPLERS:
        check_request(request(sampler))
        check_request(request(sampler, schedule=USUAL_SCHEDULE.get(sampler, "Automatic")))


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        ("DPM++ 4M Karras", "no sampler “DPM\\+\\+ 4M”. Choose one of Euler"),
        ("ddim_2", "no sampler “ddim_2”"),
    ],
)
def test_what_is_not_drawn_with_here_is_refused_by_its_name(sampler: str, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_request(request(sampler))
