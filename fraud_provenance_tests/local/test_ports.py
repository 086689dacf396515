"""Ports are chosen once, apart for each home."""

import socket
import threading
from pathlib import Path

from fraud_provenance.attested.local import ports


def test_choose_for_one_home_gives_each_server_its_own_free_port() -> None:
    chosen = ports.choose(Path("/somewhere/a"))

    assert sorted(chosen) == sorted(ports.NAMES)
    assert len(set(chosen.values())) == len(ports.NAMES)
    assert all(ports.is_free(port) for port in chosen.values())


def test_choose_for_two_homes_gives_disjoint_ports_even_if_none_is_in_use() -> None:
    one = ports.choose(Path("/somewhere/a"))
    other = ports.choose(Path("/somewhere/b"))

    assert not set(one.values()) & set(other.values())


def test_choose_with_a_port_of_the_block_taken_takes_another_block() -> None:
    home = Path("/somewhere/c")
    wanted = ports.choose(home)["rekor"]
    with socket.create_server((ports.HOST, wanted)):
        assert not ports.is_free(wanted)
        assert wanted not in ports.choose(home).values()
    assert ports.choose(home)["rekor"] == wanted


def test_port_is_waited_for_until_the_one_who_was_killed_has_left_it() -> None:
    taken = socket.create_server((ports.HOST, 0))
    port = taken.getsockname()[1]
    assert not ports.is_left(port, 0.05)
    leaving = threading.Timer(0.1, taken.close)
    leaving.start()
    assert ports.is_left(port, 30)
    leaving.join()
