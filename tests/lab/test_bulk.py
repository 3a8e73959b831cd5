"""Bulk through a sidecar: spliced where there are pipes, copied where there are none, and whole either way."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from . import by_hand
from .by_hand import Endpoint
from .cluster import accepts
from .faults import own_pod
from .tools import PYTHON, sanitized, wait_until

_BULK = str(Path(__file__).resolve().with_name("bulk.py"))
_GIGABYTE = (1 << 30) // (10 if sanitized() else 1)
_SPLICED = "portolan_forwarder_spliced_bytes_total"
_FALLBACKS = 'portolan_forwarder_pipe_fallbacks_total{reason="small"}'
# More than 16,384 pages (pipe-user-pages-soft) of 16 each: all that a node's sidecars may have.
_PIPES = 1100
_NUMBER = 300


@pytest.fixture(scope="module")
def caller(cluster):
    with own_pod(cluster, "bulk") as pod:
        yield pod


@pytest.fixture(scope="module")
def servers(cluster):
    with by_hand.servers(cluster) as pod:
        yield pod


@pytest.fixture(scope="module")
def server(servers):
    port = Endpoint(_NUMBER).port
    daemon = servers.sandbox.start("bulk", [PYTHON, "-B", _BULK, "serve", str(port)])
    daemon.wait_ready(lambda: accepts(servers.ip, port), "bulk.py serves")
    return daemon


@pytest.fixture(scope="module")
def make(cluster, caller, servers):
    services = by_hand.Services(cluster, servers)
    yield lambda **how: services.make(caller, Endpoint(_NUMBER), **how)
    services.end()


@pytest.fixture(scope="module")
def service(make):
    return make()


@pytest.fixture
def counted(caller):
    """counted(name) is by how much a metric has grown since the test began."""
    before = caller.sidecar.metrics()
    return lambda name: caller.sidecar.metrics().get(name, 0) - before.get(name, 0)


@pytest.fixture
def transfer(caller, server):
    """transfer(address, up, down): both sides found whole what they got."""
    def whole(address: str, up: int, down: int) -> None:
        before = len(_lines(server))
        done = caller.exec(PYTHON, "-B", _BULK, "dial", address, "80", str(up), str(down), timeout=90)
        assert done.stdout == "whole\n", done.stdout + done.stderr
        wait_until(lambda: len(_lines(server)) > before, "the server has read to the end")
        assert _lines(server)[-1] == "whole"
    return whole


def _lines(server) -> list[str]:
    return server.log.read_text().splitlines()


@contextmanager
def _hoarded_pipes(pod):
    """Of the sidecars' user, who cannot read the program where this tree is in /root."""
    hoard = pod.sandbox.talk("setpriv", "--reuid=1337", "--clear-groups", PYTHON, "-c", Path(_BULK).read_text(),
                             "hoard", str(_PIPES))
    try:
        assert hoard.stdout.readline().split() == ["holding", str(_PIPES)]
        yield
    finally:
        hoard.communicate()


@pytest.mark.parametrize("up, down", [(_GIGABYTE, 0), (0, _GIGABYTE), (_GIGABYTE // 2, _GIGABYTE // 2)],
                         ids=["up", "down", "both-ways"])
def test_a_gigabyte_is_spliced_and_arrives_whole(transfer, counted, service, up, down):
    """Where nothing goes one way that side half-closes first of all, and goes on reading."""
    transfer(service.ip, up, down)
    # The first pieces, and what fits into one buffer at a time, are copied.
    assert counted(_SPLICED) > _GIGABYTE * 0.5


def test_a_gigabyte_over_ipv6(transfer, counted, make):
    transfer(make(ipv6=True).ip, _GIGABYTE // 2, _GIGABYTE // 2)
    assert counted(_SPLICED) > _GIGABYTE * 0.5


def test_where_the_nodes_sidecars_have_all_the_pipes_bulk_is_copied(caller, service, transfer):
    """The pipes that it has from before are its own: a sidecar that has just started has none."""
    caller.sidecar.kill()
    caller.sidecar.start()
    service.wait_held_by(caller)
    with _hoarded_pipes(caller):
        transfer(service.ip, _GIGABYTE // 4, _GIGABYTE // 4)
        metrics = caller.sidecar.metrics()
        assert metrics[_FALLBACKS] > 0 and metrics[_SPLICED] == 0
    # A second after the kernel has last given a small one it is asked again.
    wait_until(lambda: _spliced_by_a_transfer(transfer, caller, service), "pipes are there again", timeout=20)


def _spliced_by_a_transfer(transfer, caller, service) -> bool:
    transfer(service.ip, _GIGABYTE // 16, _GIGABYTE // 16)
    return caller.sidecar.metrics()[_SPLICED] > 0
