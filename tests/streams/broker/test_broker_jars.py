from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from streams.broker import jars
from streams.broker.errors import (
    CacheUnusable,
    DownloaderMissing,
    DownloadFailed,
    JarRefused,
    KafkaHomeUnusable,
)
from streams.broker.jars import JarSet, OnProgress, ensure_jars

CONTENT = {"one.jar": b"one", "two.jar": b"two"}
SMALL = JarSet(
    "small-1.0", ("group:small:1.0",), {n: hashlib.sha256(c).hexdigest() for n, c in CONTENT.items()}
)


def fetching(content: dict[str, bytes], calls: list[Path]) -> jars.Fetch:
    def fetch(_wanted: JarSet, scratch: Path, progress: OnProgress) -> Iterator[Path]:
        calls.append(scratch)
        for done, (name, data) in enumerate(content.items()):
            progress(name, done, len(content))
            (scratch / name).write_bytes(data)
            yield scratch / name

    return fetch


def failing(error: Exception) -> jars.Fetch:
    def fetch(_wanted: JarSet, _scratch: Path, _progress: OnProgress) -> Iterator[Path]:
        raise error
        yield

    return fetch


def silent(_name: str, _done: int, _total: int) -> None:
    pass


def test_jars_are_fetched_once_and_progress_is_reported(tmp_path: Path) -> None:
    calls: list[Path] = []
    answer: list[tuple[str, int, int]] = []
    fetch = fetching({**CONTENT, "unasked.jar": b"?"}, calls)
    for _ in range(2):
        found = ensure_jars(tmp_path, SMALL, progress=lambda *now: answer.append(now), fetch=fetch)
        assert {jar.name: jar.read_bytes() for jar in found} == CONTENT
    assert len(calls) == 1
    assert answer[0] == ("one.jar", 0, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small-1.0", "small-1.0.lock"]
    assert not (tmp_path / "small-1.0" / "unasked.jar").exists()


@pytest.mark.parametrize("harm", [lambda p: p.write_bytes(b"changed"), lambda p: p.unlink()])
def test_a_changed_or_missing_jar_in_the_cache_is_fetched_again(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    calls: list[Path] = []
    found = ensure_jars(tmp_path, SMALL, progress=silent, fetch=fetching(CONTENT, calls))
    harm(found[1])
    again = ensure_jars(tmp_path, SMALL, progress=silent, fetch=fetching(CONTENT, calls))
    assert [jar.read_bytes() for jar in again] == [b"one", b"two"]
    assert len(calls) == 2


def test_a_downloaded_jar_with_another_sum_is_refused_by_name_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(JarRefused) as caught:
        ensure_jars(tmp_path, SMALL, progress=silent, fetch=fetching({**CONTENT, "two.jar": b"evil"}, []))
    text = str(caught.value)
    assert (
        f"two.jar has SHA-256 {hashlib.sha256(b'evil').hexdigest()}, expected {SMALL.sums['two.jar']}" in text
    )
    assert "one.jar" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["small-1.0.lock"]


def test_a_wrong_download_leaves_the_cache_as_it_was(tmp_path: Path) -> None:
    found = ensure_jars(tmp_path, SMALL, progress=silent, fetch=fetching(CONTENT, []))
    found[1].write_bytes(b"changed")
    with pytest.raises(JarRefused, match=r"two\.jar is missing"):
        ensure_jars(tmp_path, SMALL, progress=silent, fetch=fetching({"one.jar": b"one"}, []))
    assert found[0].read_bytes() == b"one"


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("Max retries exceeded: Name or service not known"),
        RuntimeError("Artifact not found in remote repositories"),
        TimeoutError("timed out"),
    ],
)
def test_no_network_is_an_error_with_three_ways_out(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(DownloadFailed) as caught:
        ensure_jars(tmp_path, SMALL, progress=silent, fetch=failing(error))
    text = str(caught.value)
    assert "could not download group:small:1.0" in text
    assert str(error) in text
    for way_out in ("HTTPS_PROXY", "ALSOBOUGHT_KAFKA_HOME", "ALSOBOUGHT_KAFKA to"):
        assert way_out in text
    assert [path.name for path in tmp_path.iterdir()] == ["small-1.0.lock"]


def test_without_jgo_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(DownloaderMissing, match=r"pip install 'alsobought\[local\]'"):
        ensure_jars(tmp_path, SMALL, progress=silent)
    assert list(tmp_path.iterdir()) == []


def test_jgo_without_network_ends_in_the_same_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy that does not listen: every request fails as it does without network.
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DownloadFailed, match="Check the network"):
        ensure_jars(tmp_path, progress=silent)


def test_an_unwritable_cache_is_an_error_naming_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheUnusable, match=r"file/cache: Not a directory.*ALSOBOUGHT_CACHE_DIR"):
        ensure_jars(tmp_path / "file" / "cache", SMALL, progress=silent, fetch=fetching(CONTENT, []))


def test_a_full_disk_is_not_called_a_network_failure(tmp_path: Path) -> None:
    full = failing(OSError(28, "No space left on device"))
    with pytest.raises(CacheUnusable, match="No space left"):
        ensure_jars(tmp_path, SMALL, progress=silent, fetch=full)


def _first_start(cache: Path, log: Path) -> None:
    def fetch(wanted: JarSet, scratch: Path, progress: OnProgress) -> Iterator[Path]:
        with log.open("a") as file:
            file.write("fetched\n")
        yield from fetching(CONTENT, [])(wanted, scratch, progress)

    found = ensure_jars(cache, SMALL, progress=silent, fetch=fetch)
    assert [jar.read_bytes() for jar in found] == [b"one", b"two"]


def test_first_starts_at_once_fetch_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    args = (tmp_path / "cache", tmp_path / "log")
    starts = [context.Process(target=_first_start, args=args) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
        assert start.exitcode == 0
        start.close()
    assert (tmp_path / "log").read_text() == "fetched\n"


def test_the_pinned_jars_are_one_kafka_and_a_log(tmp_path: Path) -> None:
    names = list(jars.KAFKA.sums)
    ours = [name for name in names if name.startswith("kafka")]
    assert len(ours) >= 14
    assert all(name.endswith(f"-{jars.KAFKA_VERSION}.jar") for name in ours)
    assert any(name.startswith("log4j-slf4j-impl") for name in names)
    assert all(len(digest) == 64 for digest in jars.KAFKA.sums.values())


def test_an_installed_kafka_without_kafka_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KafkaHomeUnusable, match=r"no Kafka in .*libs has no kafka_\*\.jar"):
        jars.installed_jars(tmp_path)
