"""A worker that may not write where its kernels are keeps them in its data directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alsobought.kernels import VARIABLE, with_kernels
from alsobought.options import CommandError


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with kernels that cannot be written to, also by root, who runs the tests of CI."""
    folder = tmp_path / "image" / "kernels"
    (folder / "items_1").mkdir(parents=True)
    (folder / "items_1" / "count-7.py313.1.nbc").write_bytes(b"machine code")
    (folder / "items_1" / "count-7.py313.1.nbc").chmod(0o444)

    def access(path: Path, _mode: int) -> bool:
        return not path.is_relative_to(tmp_path / "image")

    monkeypatch.setattr(os, "access", access)
    return folder


def test_a_cache_that_can_be_written_to_is_used(tmp_path: Path) -> None:
    environment = {VARIABLE: str(tmp_path / "made" / "later"), "A": "b"}
    assert with_kernels(environment, tmp_path / "data") == environment
    assert with_kernels({"A": "b"}, tmp_path / "data") == {"A": "b"}, "those beside the code can be"
    assert list(tmp_path.iterdir()) == []


def test_kernels_of_a_read_only_image_are_copied_once(image: Path, tmp_path: Path) -> None:
    first = with_kernels({VARIABLE: str(image), "A": "b"}, tmp_path / "data")
    copy = Path(first.pop(VARIABLE))
    assert first == {"A": "b"}
    assert copy.is_relative_to(tmp_path / "data")
    kernel = copy / "items_1" / "count-7.py313.1.nbc"
    assert kernel.read_bytes() == b"machine code"
    kernel.write_bytes(b"compiled here")  # for this processor
    assert with_kernels({VARIABLE: str(image)}, tmp_path / "data") == {VARIABLE: str(copy)}
    assert kernel.read_bytes() == b"compiled here"


def test_an_upgrade_takes_the_kernels_of_the_new_image(image: Path, tmp_path: Path) -> None:
    old = with_kernels({VARIABLE: str(image)}, tmp_path / "data")[VARIABLE]
    (image / "items_1" / "rank-9.py313.1.nbc").write_bytes(b"more")
    new = with_kernels({VARIABLE: str(image)}, tmp_path / "data")[VARIABLE]
    assert {path.name for path in Path(new, "items_1").iterdir()} == {
        "count-7.py313.1.nbc", "rank-9.py313.1.nbc"
    }  # fmt: skip
    assert [str(path) for path in Path(new).parent.iterdir()] == [new], f"{old} is removed"


def test_without_a_cache_they_are_compiled_into_the_data_directory(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.__file__", str(image / "state" / "__init__.py"))
    found = Path(with_kernels({}, tmp_path / "data")[VARIABLE])
    assert found.is_dir()
    assert found.is_relative_to(tmp_path / "data")


def test_where_nothing_can_be_kept_it_says_so(image: Path) -> None:
    file = image.parent / "data"
    file.touch()
    with pytest.raises(
        CommandError, match=r"cannot keep compiled kernels in \S+/data/kernels: .*NUMBA_CACHE_DIR"
    ):
        with_kernels({VARIABLE: str(image)}, file)
