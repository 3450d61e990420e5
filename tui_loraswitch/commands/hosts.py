"""Which host a command means, and the options that say so."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from msgspec import structs

from engine.demo import DEMO_LORAS
from engine.host.runtime import HostPlace, living_hosts, place_of
from tui_loraswitch.commands.outcome import UsageError, say
from tui_loraswitch.config.settings import AppSettings

OWN_ENGINE_HELP = "use an engine of this command's own, also where a host runs"


def add_own_engine_option(parser: argparse.ArgumentParser) -> None:
    """Whether a running host is passed over."""
    parser.add_argument(
        "--own-engine", action="store_true", default=argparse.SUPPRESS, help=OWN_ENGINE_HELP
    )


def host_name(device: str | None) -> str:
    """The name of the host for a device; hosts that choose their device share one name."""
    return device or "default"


def place_for(device: str | None) -> HostPlace:
    """Where the host for a device is, or would be.

    Without a device the only host that runs is meant, whatever its own; raises `UsageError` where
    there are several.
    """
    if device is not None:
        return place_of(host_name(device))
    hosts = living_hosts()
    if len(hosts) > 1:
        names = ", ".join(host.name for host in hosts)
        raise UsageError(f"Several hosts run ({names}): name one with --device.")
    return hosts[0] if hosts else place_of()


def usable_host(settings: AppSettings) -> HostPlace | None:
    """The running host that a command is to use; None: an engine of its own.

    A host with another model than the one that is named is left as it is, and that is said.
    """
    if settings.own_engine:
        return None
    place = place_for(settings.device)
    if not place.is_alive():
        return None
    from engine.client.remote import host_status
    from engine.protocol.codec import VERSION

    status = host_status(place)
    if status["protocol"] != VERSION:
        say(f"The host {place.name} is of another version: using an engine of this command's own.")
    elif settings.model_is_named and not _is_model(settings.model, status["wanted_model"]):
        say(f"The host {place.name} has another model: using an engine of this command's own.")
    else:
        return place
    return None


def _is_model(named: Path | None, wanted: str | None) -> bool:
    """Whether a model (None: the demo) that is named is the one that a host has."""
    if named is None or wanted is None:
        return named is None and wanted is None
    return os.path.realpath(named) == os.path.realpath(wanted)


def running_host(args: argparse.Namespace) -> HostPlace | None:
    """The host that a command about a running one means; None, which is said, where none runs."""
    place = place_for(getattr(args, "device", None))
    if place.is_alive():
        return place
    say("No host runs; loraswitch serve starts one.")
    return None


def settings_at(place: HostPlace, settings: AppSettings) -> AppSettings:
    """The settings for a host's own model: with the demo's LoRAs where that is the demo."""
    from engine.client.remote import host_status

    wanted = host_status(place)["wanted_model"]
    if wanted is not None:
        return structs.replace(settings, model=Path(wanted))
    others = tuple(folder for folder in settings.loras if folder != DEMO_LORAS)
    return structs.replace(settings, model=None, loras=(*others, DEMO_LORAS))


def serve_arguments(settings: AppSettings) -> list[str]:
    """The command line of a host that is started in the background for an app."""
    device = ["--device", settings.device] if settings.device else []
    return ["serve", "--for-app", *device]
