"""portolan-init writes the pod's rules, again without a change, verifies them, and takes them all away."""

import pytest

from .cluster_dns import DECOY
from .pods import Shape
from .resolver_tools import dig
from .sidecar import Capture

_NAME = "backend.default.svc.cluster.local"


@pytest.fixture(params=["nft", "legacy", "auto"])
def capture(request, cluster):
    """In a pod of its own, without a sidecar that runs: only the rules matter."""
    pod = cluster.tools_pod(f"capture-{request.param}", Shape(starts_injected=False))
    yield Capture(pod.containers, ("--backend", request.param))
    cluster.stop_pod(pod)


def test_apply_twice_is_apply_once(capture):
    assert capture.run("apply").returncode == 0
    once = capture.rules()
    assert _mention(once, "15053") and _mention(once, "15001")
    assert capture.run("apply").returncode == 0
    assert capture.rules() == once


def test_both_families_have_rules(capture):
    capture.run("apply", check=True)
    for family in ("iptables-", "ip6tables-"):
        assert _mention([rule for rule in capture.rules() if rule.startswith(family)], "15001")


def test_verify_tells_applied_from_not_applied_and_from_damaged(capture):
    assert capture.run("verify").returncode == 1
    capture.run("apply", check=True)
    assert capture.run("verify").returncode == 0
    _delete_one_rule(capture)
    assert capture.run("verify").returncode == 1
    capture.run("apply", check=True)
    assert capture.run("verify").returncode == 0


def test_clean_leaves_no_rule(capture):
    capture.run("apply", check=True)
    capture.run("clean", check=True)
    assert capture.rules() == []
    chains = capture.sandbox.sh("iptables-nft-save; ip6tables-nft-save; iptables-legacy-save; ip6tables-legacy-save")
    assert "portolan" not in chains.stdout.lower()
    assert capture.run("clean").returncode == 0, "cleaning what is clean is no error"


def test_print_shows_the_rules_and_changes_nothing(capture):
    before = capture.rules()
    printed = capture.run("apply", "--print", check=True).stdout
    assert "15053" in printed and "15001" in printed
    assert capture.rules() == before


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_rules_of_others_stay(capture, program):
    command = f"{program} -t nat -A OUTPUT -d 192.0.2.1/32 -j RETURN"
    capture.sandbox.exec(*command.split())
    capture.run("apply", check=True)
    assert command in capture.rules()
    capture.run("clean", check=True)
    assert capture.rules() == [command]


def test_an_unknown_flag_is_wrong_usage(capture):
    assert capture.run("apply", "--no-such-flag").returncode == 2


def test_the_sidecars_own_uid_is_exempt(shaped):
    """What uid 1337 asks goes to the cluster DNS itself, else the sidecar would ask itself for ever."""
    pod = shaped("dual-stack")
    as_1337 = ["setpriv", "--reuid=1337", "--regid=1337", "--clear-groups"]
    asked = pod.exec(*as_1337, "dig", "+short", "+time=2", "+tries=1", _NAME)
    assert asked.stdout.strip() == DECOY
    assert dig(pod, _NAME).data("A") == ["10.43.0.123"]


def _delete_one_rule(capture):
    jump = next(rule for rule in capture.rules() if " -A OUTPUT " in rule)
    deleted = capture.sandbox.sh(jump.replace(" -A OUTPUT ", " -D OUTPUT "))
    assert deleted.returncode == 0, deleted.stderr


def _mention(rules, port):
    return [rule for rule in rules if port in rule]
