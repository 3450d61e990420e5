"""Every sampler by its name, and what A1111 does for some of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.sampling import cfg_pp, consistency, dpm, dpmpp, euler, multistep, sde, unipc
from engine.sampling.restart import restart
from engine.sampling.tools import Sampler

SAMPLER_FUNCTIONS: Mapping[str, Sampler] = MappingProxyType(
    {
        "Euler a": euler.euler_ancestral,
        "Euler": euler.euler,
        "Heun": euler.heun,
        "HeunPP2": euler.heun_pp2,
        "LMS": multistep.lms,
        "DPM++ 2M": dpmpp.dpmpp_2m,
        "DPM++ 2M SDE": sde.dpmpp_2m_sde,
        "DPM++ 2M SDE Heun": sde.dpmpp_2m_sde_heun,
        "DPM++ 2S a": dpmpp.dpmpp_2s_ancestral,
        "DPM++ SDE": sde.dpmpp_sde,
        "DPM++ 3M SDE": sde.dpmpp_3m_sde,
        "DPM2": dpm.dpm_2,
        "DPM2 a": dpm.dpm_2_ancestral,
        "DPM fast": dpm.dpm_fast,
        "DPM adaptive": dpm.dpm_adaptive,
        "Restart": restart,
        # Over sigma and without noise of its own, DDIM (arXiv:2010.02502) is Euler's method.
        "DDIM": euler.euler,
        "DDIM CFG++": cfg_pp.euler_cfg_pp,
        "PLMS": multistep.plms,
        "UniPC": unipc.unipc,
        "UniPC BH2": unipc.unipc_bh2,
        "LCM": consistency.lcm,
        "TCD": consistency.tcd,
        # The same is true of DDPM (arXiv:2006.11239): its posterior is an ancestral step.
        "DDPM": euler.euler_ancestral,
        "DEIS": multistep.deis,
        "IPNDM": multistep.ipndm,
        "Res Multistep": multistep.res_multistep,
        "Res Multistep a": multistep.res_multistep_ancestral,
        "ER SDE": sde.er_sde,
        "Euler CFG++": cfg_pp.euler_cfg_pp,
        "Euler a CFG++": cfg_pp.euler_ancestral_cfg_pp,
        "DPM++ 2M CFG++": cfg_pp.dpmpp_2m_cfg_pp,
        "DPM++ 2S a CFG++": cfg_pp.dpmpp_2s_ancestral_cfg_pp,
    }
)

BROWNIAN = frozenset(("DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"))
"""SDE samplers, whose noise is a Brownian motion of each seed."""

WITHOUT_LAST_BUT_ONE = frozenset(("DPM2", "DPM2 a", "DPM++ 3M SDE"))
"""Samplers that A1111 gives one sigma more, and then takes the smallest from."""
