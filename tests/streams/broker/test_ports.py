"""Tests of the ports that are chosen where nobody asked for one."""

from __future__ import annotations

import socket

from streams.broker.ports import free_port, is_free, wanted_port
from streams.broker.properties import HOST


def test_the_usual_port_is_taken_where_it_is_free_and_nobody_asked_for_another() -> None:
    usual = free_port(None, ())
    assert wanted_port(None, usual) == usual
    assert wanted_port(0, usual) == 0
    assert wanted_port(7, usual) == 7
    with socket.socket() as other:
        other.bind((HOST, usual))
        other.listen(1)
        assert not is_free(usual)
        assert wanted_port(None, usual) == 0
        assert free_port(usual, ()) != usual
    assert free_port(usual, ()) == usual
    assert free_port(usual, (usual,)) != usual
