"""Samplers written from k-diffusion's and the papers' definitions, in float64, to compare with.

Time is t = -log(sigma), as in k-diffusion. Slow, plain, and independent of the package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from scipy import integrate
from torch import Tensor

Model = Callable[[Tensor, float], Tensor]
Noise = Callable[[float, float], Tensor]


def _t(sigma: float) -> float:
    return math.inf if sigma == 0 else -math.log(sigma)


def _s(t: float) -> float:
    return 0.0 if t == math.inf else math.exp(-t)


def ancestral(a: float, b: float) -> tuple[float, float]:
    up = min(b, math.sqrt(b**2 * (a**2 - b**2) / a**2))
    return math.sqrt(b**2 - up**2), up


def euler(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    for a, b in itertools.pairwise(s):
        x = x + (x - m(x, a)) / a * (b - a)
    return x


def euler_a(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    for a, b in itertools.pairwise(s):
        down, up = ancestral(a, b)
        x = x + (x - m(x, a)) / a * (down - a)
        if b > 0:
            x = x + n(a, b) * up
    return x


def heun(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    for a, b in itertools.pairwise(s):
        d = (x - m(x, a)) / a
        if b == 0:
            x = x + d * (b - a)
        else:
            x2 = x + d * (b - a)
            x = x + (d + (x2 - m(x2, b)) / b) / 2 * (b - a)
    return x


def heunpp2(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    for i in range(len(s) - 1):
        a, b = s[i], s[i + 1]
        d1 = (x - m(x, a)) / a
        if b == 0:
            x = x + d1 * (b - a)
            continue
        x2 = x + d1 * (b - a)
        d2 = (x2 - m(x2, b)) / b
        c = s[i + 2]
        if c == 0:
            w2 = b / (2 * s[0])
            x = x + ((1 - w2) * d1 + w2 * d2) * (b - a)
            continue
        x3 = x2 + d2 * (c - b)
        d3 = (x3 - m(x3, c)) / c
        w2, w3 = b / (3 * s[0]), c / (3 * s[0])
        x = x + ((1 - w2 - w3) * d1 + w2 * d2 + w3 * d3) * (b - a)
    return x


def dpm2(m: Model, x: Tensor, s: Sequence[float], n: Noise, noisy: bool = False) -> Tensor:
    for a, b in itertools.pairwise(s):
        down, up = ancestral(a, b) if noisy else (b, 0.0)
        d = (x - m(x, a)) / a
        if down == 0:
            x = x + d * (down - a)
        else:
            mid = math.exp((math.log(a) + math.log(down)) / 2)
            x2 = x + d * (mid - a)
            x = x + (x2 - m(x2, mid)) / mid * (down - a)
            if noisy:
                x = x + n(a, b) * up
    return x


def dpm2_a(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    return dpm2(m, x, s, n, noisy=True)


def _lagrange(known: Sequence[float], j: int, tau: float) -> float:
    return math.prod((tau - known[k]) / (known[j] - known[k]) for k in range(len(known)) if k != j)


def lms(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    ds: list[Tensor] = []
    for i in range(len(s) - 1):
        ds.append((x - m(x, s[i])) / s[i])
        order = min(i + 1, 4)
        known = [s[i - k] for k in range(order)]
        for j in range(order):
            c = integrate.quad(
                lambda tau, j=j, known=known: _lagrange(known, j, tau), s[i], s[i + 1]
            )
            x = x + c[0] * ds[-1 - j]
    return x


def ab(m: Model, x: Tensor, s: Sequence[float], n: Noise, heun_first: bool = False) -> Tensor:
    ds: list[Tensor] = []
    for i in range(len(s) - 1):
        a, b = s[i], s[i + 1]
        den = m(x, a)
        e = (x - den) / a
        ds.append(e)
        if i == 0 and heun_first and b > 0:
            x2 = x + (b - a) * e
            prime = (e + (x2 - m(x2, b)) / b) / 2
        elif i == 0 or (b == 0 and not heun_first):
            prime = e
        elif i == 1:
            prime = (3 * e - ds[-2]) / 2
        elif i == 2:
            prime = (23 * e - 16 * ds[-2] + 5 * ds[-3]) / 12
        else:
            prime = (55 * e - 59 * ds[-2] + 37 * ds[-3] - 9 * ds[-4]) / 24
        x = x + (b - a) * prime
    return x


def plms(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    return ab(m, x, s, n, heun_first=True)


def deis(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    lo, hi = math.log(0.002**2 + 1), math.log(80**2 + 1)
    bd = 2 * (lo / 1e-3 - hi) / (1e-3 - 1)
    bmin = hi - 0.5 * bd

    def t_of(sigma: float) -> float:
        return (math.sqrt(bmin**2 + 2 * bd * math.log(sigma**2 + 1)) - bmin) / bd

    ds: list[Tensor] = []
    for i in range(len(s) - 1):
        den = m(x, s[i])
        ds.append((x - den) / s[i])
        if s[i + 1] == 0:
            return den
        order = min(i + 1, 3)
        known = [t_of(s[i - k]) for k in range(order)]
        start = x
        for j in range(order):
            # The integral over sigma itself, where the package takes it over time.
            c = integrate.quad(
                lambda u, j=j, known=known: _lagrange(known, j, t_of(math.exp(u))) * math.exp(u),
                math.log(s[i]), math.log(s[i + 1]), epsabs=1e-12, epsrel=1e-12,
            )  # fmt: skip
            start = start + c[0] * ds[-1 - j]
        x = start
    return x


def dpmpp_2m(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    old = None
    for i in range(len(s) - 1):
        den = m(x, s[i])
        t, tn = _t(s[i]), _t(s[i + 1])
        h = tn - t
        dd = den
        if old is not None and s[i + 1] > 0:
            r = (t - _t(s[i - 1])) / h
            dd = (1 + 1 / (2 * r)) * den - 1 / (2 * r) * old
        x = s[i + 1] / s[i] * x - math.expm1(-h) * dd
        old = den
    return x


def dpmpp_2s_a(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    for a, b in itertools.pairwise(s):
        den = m(x, a)
        down, up = ancestral(a, b)
        if down == 0:
            x = x + (x - den) / a * (down - a)
        else:
            t, tn = _t(a), _t(down)
            h = tn - t
            mid = t + h / 2
            x2 = _s(mid) / _s(t) * x - math.expm1(-h / 2) * den
            x = _s(tn) / _s(t) * x - math.expm1(-h) * m(x2, _s(mid))
        if b > 0:
            x = x + n(a, b) * up
    return x


def dpmpp_sde(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    for a, b in itertools.pairwise(s):
        den = m(x, a)
        if b == 0:
            x = x + (x - den) / a * (b - a)
            continue
        t, tn = _t(a), _t(b)
        mid = t + (tn - t) / 2
        down, up = ancestral(a, _s(mid))
        x2 = down / a * x - math.expm1(t - _t(down)) * den + n(a, _s(mid)) * up
        den2 = m(x2, _s(mid))
        down, up = ancestral(a, b)
        x = down / a * x - math.expm1(t - _t(down)) * den2 + n(a, b) * up
    return x


def dpmpp_2m_sde(
    m: Model, x: Tensor, s: Sequence[float], n: Noise, kind: str = "midpoint"
) -> Tensor:
    old, h_last = None, 0.0
    for i in range(len(s) - 1):
        den = m(x, s[i])
        if s[i + 1] == 0:
            x = den
        else:
            h = _t(s[i + 1]) - _t(s[i])
            e = -math.expm1(-2 * h)
            x = s[i + 1] / s[i] * math.exp(-h) * x + e * den
            if old is not None:
                r = h_last / h
                factor = (e / (-2 * h) + 1) if kind == "heun" else 0.5 * e
                x = x + factor / r * (den - old)
            x = x + n(s[i], s[i + 1]) * s[i + 1] * math.sqrt(-math.expm1(-2 * h))
            h_last = h
        old = den
    return x


def dpmpp_2m_sde_heun(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    return dpmpp_2m_sde(m, x, s, n, kind="heun")


def dpmpp_3m_sde(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    d1 = d2 = None
    h1 = h2 = None
    for i in range(len(s) - 1):
        den = m(x, s[i])
        if s[i + 1] == 0:
            return den
        h = _t(s[i + 1]) - _t(s[i])
        he = 2 * h
        x = math.exp(-he) * x - math.expm1(-he) * den
        phi2 = math.expm1(-he) / he + 1
        phi3 = phi2 / he - 0.5
        if h2 is not None:
            r0, r1 = h1 / h, h2 / h
            a, b = (den - d1) / r0, (d1 - d2) / r1
            x = x + phi2 * (a + (a - b) * r0 / (r0 + r1)) - phi3 * ((a - b) / (r0 + r1))
        elif h1 is not None:
            x = x + phi2 * (den - d1) / (h1 / h)
        x = x + n(s[i], s[i + 1]) * s[i + 1] * math.sqrt(-math.expm1(-2 * h))
        d1, d2, h1, h2 = den, d1, h, h1
    return x


class Solver:
    """DPM-Solver's steps of first to third order, from the paper's formulas."""

    def __init__(self, m: Model) -> None:
        self.m = m

    def eps(self, x: Tensor, t: float) -> Tensor:
        return (x - self.m(x, _s(t))) / _s(t)

    def step(self, order: int, x: Tensor, t: float, tn: float, r1: float | None = None) -> Tensor:
        h = tn - t
        e = self.eps(x, t)
        if order == 1:
            return x - _s(tn) * math.expm1(h) * e
        r1 = r1 or {2: 1 / 2, 3: 1 / 3}[order]
        e1 = self.eps(x - _s(t + r1 * h) * math.expm1(r1 * h) * e, t + r1 * h)
        if order == 2:
            base = x - _s(tn) * math.expm1(h) * e
            return base - _s(tn) / (2 * r1) * math.expm1(h) * (e1 - e)
        r2 = 2 / 3
        s2 = _s(t + r2 * h)
        bend = s2 * (r2 / r1) * (math.expm1(r2 * h) / (r2 * h) - 1)
        e2 = self.eps(x - s2 * math.expm1(r2 * h) * e - bend * (e1 - e), t + r2 * h)
        base = x - _s(tn) * math.expm1(h) * e
        return base - _s(tn) / r2 * (math.expm1(h) / h - 1) * (e2 - e)


def _down(t: float, tn: float, end: float) -> tuple[float, float]:
    sd, _ = ancestral(_s(t), _s(tn))
    td = min(end, _t(sd))
    return td, math.sqrt(max(0.0, _s(tn) ** 2 - _s(td) ** 2))


def dpm_fast(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    nfe, t0, t1 = len(s) - 1, _t(s[0]), _t(s[-2])
    count = nfe // 3 + 1
    ts = torch.linspace(t0, t1, count + 1, dtype=torch.float64).tolist()
    orders = [3] * (count - 2) + [2, 1] if nfe % 3 == 0 else [3] * (count - 1) + [nfe % 3]
    for order, t, tn in zip(orders, ts, ts[1:], strict=False):
        td, up = _down(t, tn, t1)
        x = Solver(m).step(order, x, t, td) + up * n(_s(t), _s(tn))
    return x


def dpm_adaptive(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    t, end, h, prev, solver = _t(s[0]), _t(s[-2]), 0.05, x, Solver(m)
    while t < end - 1e-5:
        tn = min(end, t + h)
        td, up = _down(t, tn, end)
        low, high = solver.step(2, x, t, td, r1=1 / 3), solver.step(3, x, t, td)
        delta = torch.clamp(0.05 * torch.maximum(low.abs(), prev.abs()), min=0.0078)
        error = ((low - high) / delta).norm().item() / x.numel() ** 0.5
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / 1.5) - 1)
        if factor >= 0.81:
            prev, x, t = low, high + up * n(_s(t), _s(tn)), tn
        h *= factor
    return x


def karras(steps: int, low: float, high: float) -> list[float]:
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels: list[float] = (
        ((high ** (1 / 7)) + ramp * (low ** (1 / 7) - high ** (1 / 7))).pow(7).tolist()
    )
    return levels


def restart(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    steps = len(s) - 1
    ways = [list(s)]
    if steps >= 20:
        again, times = (steps // 4, 2) if steps >= 36 else (9, 1)
        s = [*karras(steps - again * times, s[-2], s[0]), 0.0]
        low = min(range(len(s)), key=lambda i: abs(s[i] - 0.1))
        high = min(range(len(s)), key=lambda i: abs(s[i] - 2))
        back = karras(again + 1, s[low], s[high])
        ways = [s[: low + 1], *[back] * times, s[low:]]
    for i, way in enumerate(ways):
        if 0 < i < len(ways) - 1:
            x = x + n(0, 0) * math.sqrt(way[0] ** 2 - ways[i - 1][-1] ** 2)
        x = heun(m, x, way, n)
    return x


def unipc(m: Model, x: Tensor, s: Sequence[float], n: Noise, variant: str = "bh1") -> Tensor:
    steps = len(s) - 1
    models = [m(x, s[0])]
    for k in range(1, steps + 1):
        order = min(3, k, steps + 1 - k)
        if s[k] == 0:
            return models[-1]
        lam0, lam = _t(s[k - 1]), _t(s[k])
        h = lam - lam0
        hh = -h
        rks = [(_t(s[k - 1 - i]) - lam0) / h for i in range(1, order)] + [1.0]
        d1s = [(models[-1 - i] - models[-1]) / rks[i - 1] for i in range(1, order)]
        big_b = hh if variant == "bh1" else math.expm1(hh)
        phi, fact, rows, b = math.expm1(hh) / hh - 1, 1, [], []
        for i in range(1, order + 1):
            rows.append([r ** (i - 1) for r in rks])
            b.append(phi * fact / big_b)
            fact *= i + 1
            phi = phi / hh - 1 / fact
        mat, rhs = (torch.tensor(v, dtype=torch.float64) for v in (rows, b))
        base = s[k] / s[k - 1] * x - math.expm1(hh) * models[-1]
        rhos_p: Any = [0.5] if order == 2 else torch.linalg.solve(mat[:-1, :-1], rhs[:-1]).tolist()
        rhos_c: Any = [0.5] if order == 1 else torch.linalg.solve(mat, rhs).tolist()
        pred = base - big_b * sum((r * d for r, d in zip(rhos_p, d1s, strict=False)), 0 * x)
        if k == steps:
            return pred
        new = m(pred, s[k])
        corr = sum((r * d for r, d in zip(rhos_c, d1s, strict=False)), 0 * x)
        x = base - big_b * (corr + rhos_c[-1] * (new - models[-1]))
        models.append(new)
    return x


def unipc_bh2(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    return unipc(m, x, s, n, variant="bh2")


def lcm(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    for a, b in itertools.pairwise(s):
        x = m(x, a)
        if b > 0:
            x = x + b * n(a, b)
    return x


def vp_alphas() -> Tensor:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


def tcd(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    """In the paper's own space, where the picture's part shrinks."""
    acp = vp_alphas()
    logs = ((1 - acp) / acp).sqrt().log()
    x = x / math.sqrt(1 + s[0] ** 2)
    for a, b in itertools.pairwise(s):
        scale = math.sqrt(1 + a**2)
        x0 = m(x * scale, a)
        if b == 0:
            return x0
        eps = (x * scale - x0) / a
        below = int(0.7 * int((logs - math.log(b)).abs().argmin()))
        alpha_b = 1 / (1 + b**2)
        alpha_s = max(float(acp[below]), alpha_b)
        x = math.sqrt(alpha_s) * x0 + math.sqrt(1 - alpha_s) * eps
        x = math.sqrt(alpha_b / alpha_s) * x + math.sqrt(1 - alpha_b / alpha_s) * n(a, b)
    return x * math.sqrt(1 + s[-1] ** 2)


def ddpm(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    """The paper's posterior, in its own space."""
    x = x / math.sqrt(1 + s[0] ** 2)
    for a, b in itertools.pairwise(s):
        scale = math.sqrt(1 + a**2)
        eps = (x * scale - m(x * scale, a)) / a
        acp, prev = 1 / (1 + a**2), 1 / (1 + b**2)
        alpha = acp / prev
        x = math.sqrt(1 / alpha) * (x - (1 - alpha) * eps / math.sqrt(1 - acp))
        if b > 0:
            x = x + math.sqrt((1 - alpha) * (1 - prev) / (1 - acp)) * n(a, b)
    return x * math.sqrt(1 + s[-1] ** 2)


def res(m: Model, x: Tensor, s: Sequence[float], n: Noise, noisy: bool = False) -> Tensor:
    old, old_down = None, None
    for i in range(len(s) - 1):
        den = m(x, s[i])
        down, up = ancestral(s[i], s[i + 1]) if noisy else (s[i + 1], 0.0)
        if down == 0 or old is None:
            x = x + (x - den) / s[i] * (down - s[i])
        else:
            h = _t(down) - _t(s[i])
            c2 = (_t(s[i - 1]) - _t(old_down)) / h
            phi1 = math.expm1(-h) / -h
            phi2 = (phi1 - 1) / -h
            x = math.exp(-h) * x + h * ((phi1 - phi2 / c2) * den + phi2 / c2 * old)
        if noisy and s[i + 1] > 0:
            x = x + n(s[i], s[i + 1]) * up
        old, old_down = den, down
    return x


def res_a(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    return res(m, x, s, n, noisy=True)


def er_sde(m: Model, x: Tensor, s: Sequence[float], n: Noise) -> Tensor:
    def scale(v: Any) -> Any:
        return (
            v * ((v**0.3).exp() + 10)
            if isinstance(v, Tensor)
            else float(scale(torch.tensor(v, dtype=torch.float64)))
        )

    old = old_d = None
    for i in range(len(s) - 1):
        a, b = s[i], s[i + 1]
        den = m(x, a)
        if b == 0:
            return den
        r = scale(b) / scale(a)
        x = r * x + (1 - r) * den
        if old is not None:
            step = (a - b) / 200
            pos = b + torch.arange(200, dtype=torch.float64) * step
            dd = (den - old) / (a - s[i - 1])
            x = x + (b - a + float((1 / scale(pos)).sum()) * step * scale(b)) * dd
            if old_d is not None:
                su = float(((pos - a) / scale(pos)).sum()) * step
                x = x + ((b - a) ** 2 / 2 + su * scale(b)) * (dd - old_d) / ((a - s[i - 2]) / 2)
            old_d = dd
        x = x + n(a, b) * math.sqrt(max(0.0, b**2 - a**2 * r**2))
        old = den
    return x


DETERMINISTIC = {
    "Euler": euler, "Heun": heun, "HeunPP2": heunpp2, "LMS": lms, "DPM++ 2M": dpmpp_2m,
    "DPM2": dpm2, "DDIM": euler, "PLMS": plms, "UniPC": unipc, "UniPC BH2": unipc_bh2,
    "DEIS": deis, "IPNDM": ab, "Res Multistep": res,
}  # fmt: skip
STOCHASTIC = {
    "Euler a": euler_a, "DPM++ 2S a": dpmpp_2s_a, "DPM++ SDE": dpmpp_sde,
    "DPM++ 2M SDE": dpmpp_2m_sde, "DPM++ 2M SDE Heun": dpmpp_2m_sde_heun,
    "DPM++ 3M SDE": dpmpp_3m_sde, "DPM2 a": dpm2_a, "DPM fast": dpm_fast,
    "DPM adaptive": dpm_adaptive, "Restart": restart, "LCM": lcm, "TCD": tcd, "DDPM": ddpm,
    "Res Multistep a": res_a, "ER SDE": er_sde,
}  # fmt: skip
