"""What the image promises to who runs it: docs/image.md."""

import os
import stat

import pytest

from lab.container import CAPABILITIES, Container, Mount
from lab.images import PORTOLAN_ENVIRONMENT, PORTOLAN_USER
from lab.tools import run

_UID = 1337
_PROGRAMS = ["portolan-control", "portolan-init", "portolan-injector", "portolan-proxy", "portolanctl"]
_MB = 1_000_000
_RANGES = ("--service-cidr", "10.43.0.0/16", "--pod-cidr", "10.42.0.0/16")


@pytest.fixture
def start(image):
    """start(PROGRAM, ARGS) in a container of the image, to its end; rights as keywords of Container."""

    def to_the_end(*argv, network: bool = False, uid: int = _UID, capabilities: tuple = (), **rights):
        variables = dict(setting.split("=", 1) for setting in image.config["Env"])
        container = Container(list(argv), variables, uid=uid, gid=uid, root=str(image.root), read_only_root=True,
                              capabilities=[CAPABILITIES[name] for name in capabilities],
                              allow_privilege_escalation=rights.get("allow_privilege_escalation", False),
                              mounts=[Mount("/proc", "/proc"), Mount("/dev", "/dev")], place=str(image.place))
        own_network = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "-"] if network else []
        # What has not ended by itself is asked to.
        return run(["timeout", "--preserve-status", "5", *own_network, *container.command()], check=False)

    return to_the_end


@pytest.mark.parametrize("program", _PROGRAMS)
def test_every_program_starts_without_any_right(start, program):
    done = start(program, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.1.0" in done.stdout


def test_no_program_of_ours_is_missing_and_none_is_another(image):
    assert sorted(os.listdir(image.root / "usr/local/bin")) == _PROGRAMS


def test_it_runs_as_user_1337_by_number(image):
    """Kubernetes refuses a name under runAsNonRoot: it cannot know whose it is."""
    assert image.config["User"] == "1337:1337"
    assert not image.config.get("Entrypoint"), "manifests say which of the programs"


def test_the_lab_runs_our_containers_with_the_environment_and_the_user_that_the_image_says(image):
    assert image.config["Env"] == [f"{name}={value}" for name, value in PORTOLAN_ENVIRONMENT.items()]
    assert image.config["User"].split(":")[0] == str(PORTOLAN_USER)


def test_it_says_what_it_is(image):
    assert image.name == "docker.io/library/portolan:0.1.0"
    assert image.config["Labels"]["org.opencontainers.image.version"] == "0.1.0"
    assert image.config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_it_is_small(image):
    assert image.compressed_size < 60 * _MB


def test_nothing_in_it_is_setuid_or_writable_by_others(image):
    for file in image.files():
        mode = file.lstat().st_mode
        assert stat.S_ISLNK(mode) or not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), file


def test_no_shell_and_no_package_manager(image):
    names = {file.name for file in image.files()}
    assert not names & {"sh", "bash", "dash", "busybox", "perl", "python3", "apt", "apt-get", "dpkg"}


def test_only_the_sidecar_has_a_file_capability_and_not_in_effect(image):
    """+ep would keep it from starting where the pod has not NET_RAW; see docs/forwarder.md."""
    given = run(["getcap", "-r", str(image.root)]).stdout.splitlines()
    assert given == [f"{image.root}/usr/local/bin/portolan-proxy cap_net_raw=p"]


def test_every_library_has_its_package_its_version_and_its_licence(image):
    """What a scanner for vulnerabilities reads, and what the licences ask for."""
    listed = sorted(os.listdir(image.root / "var/lib/dpkg/status.d"))
    assert {"libc6", "libssl3", "libgrpc29", "iptables", "iproute2"} <= set(listed)
    for package in listed:
        assert f"Package: {package}\n" in (image.root / "var/lib/dpkg/status.d" / package).read_text()
        assert (image.root / "usr/share/doc" / package / "copyright").read_text()
    assert "Apache License" in (image.root / "usr/share/doc/portolan/copyright").read_text()


# The rights of the init container that is injected.
_INIT = {"uid": 0, "capabilities": ("NET_ADMIN", "NET_RAW"), "network": True}


@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("udp", ["off", "tproxy"])
def test_rules_are_written_with_the_rights_of_the_injected_container(start, backend, udp):
    done = start("portolan-init", "apply", *_RANGES, "--backend", backend, "--udp", udp, **_INIT)
    assert done.returncode == 0, done.stderr
    assert f"IPv4 rules written ({backend} back end)" in done.stderr
    assert f"IPv6 rules written ({backend} back end)" in done.stderr


def test_without_net_admin_it_says_so(start):
    done = start("portolan-init", "apply", *_RANGES, **{**_INIT, "capabilities": ()})
    assert done.returncode == 1 and "NET_ADMIN" in done.stderr


def test_the_sidecar_carries_udp_where_the_pod_lets_it(start):
    argv = ("portolan-proxy", "--node", "default/web", "--control", "127.0.0.1:1", "--control-insecure",
            "--udp", "tproxy")
    done = start(*argv, network=True, capabilities=("NET_RAW",), allow_privilege_escalation=True)
    assert (done.returncode, "NET_RAW" in done.stderr) == (0, False), done.stderr
    # As without `portolan.dev/udp: tproxy`.
    done = start(*argv, network=True)
    assert done.returncode == 1 and "NET_RAW" in done.stderr


def test_the_certificates_of_public_authorities_are_there(image):
    assert "BEGIN CERTIFICATE" in (image.root / "etc/ssl/certs/ca-certificates.crt").read_text()
