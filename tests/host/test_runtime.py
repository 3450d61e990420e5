"""The folder of sockets belongs to one user alone, and a lock says who lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.host.runtime import FOLDER_VARIABLE, HostError, HostPlace, place_of, runtime_folder


def test_the_folder_is_made_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "new"))
    folder = runtime_folder()
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_a_folder_that_others_could_change_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = tmp_path / "it"
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    if kind == "open":
        folder.mkdir()
        folder.chmod(0o755)
    elif kind == "link":
        folder.symlink_to(real)
    else:
        folder.write_text("")
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    words = {
        "open": "open to other users",
        "link": "is a link",
        "file": f"what is there is not a folder.*{FOLDER_VARIABLE}",
    }
    with pytest.raises(HostError, match=words[kind]):
        runtime_folder()


def test_a_path_too_long_for_a_socket_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / ("x" * 100)))
    with pytest.raises(HostError, match=f"too long for a socket.*{FOLDER_VARIABLE}"):
        place_of()


def test_names_of_devices_become_names_of_files(place: HostPlace) -> None:
    assert place_of("cuda:1").socket.name == "cuda-1.sock"
    assert place_of("../x").socket.parent == place.socket.parent


def test_the_lock_says_who_lives(place: HostPlace) -> None:
    assert not place.is_alive()
    with place.held() as ours:
        assert ours
        assert place.is_alive()
        with place.held() as another:
            assert not another
    assert not place.is_alive()
