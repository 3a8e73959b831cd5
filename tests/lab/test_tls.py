"""The feed goes over TLS; certificate and CA change as cert-manager and a kubelet change them."""

import pytest

from .certificates import CertificateAuthority
from .control_plane import ADDRESS4, ADDRESS6, XDS_PORT
from .faults import own_pod
from .network import POD_GATEWAY4
from .resolver_tools import dig
from .tools import portolan, run, wait_until


def test_plaintext_gets_nothing(frontend):
    assert frontend.sidecar.feed()["controlPlane"] in (ADDRESS4, ADDRESS6)
    done = frontend.exec("curl", "-sS", "-m", "5", "--http2-prior-knowledge", f"http://{POD_GATEWAY4}:{XDS_PORT}/")
    assert done.returncode != 0 and done.stdout == ""


def test_a_new_ca_and_certificate_are_taken_and_nobody_is_cut_off(cluster, frontend):
    connects = frontend.sidecar.metrics()["portolan_feed_connects_total"]
    # Of one CA more, as while a CA is replaced: who was told of it only now still gets in.
    cluster.control.ca = CertificateAuthority(cluster.control.ca.folder)
    wait_until(lambda: cluster.config_maps.hold("portolan-ca", "ca.crt", cluster.control.ca.file.read_text()),
               "the injector has put it into portolan-ca of every namespace")
    _renew(cluster, cluster.control.secret.renew, "tls.crt read again: the certificate is valid until ")
    _a_change_arrives(cluster, frontend, "while-up")
    assert frontend.sidecar.metrics()["portolan_feed_connects_total"] == connects
    with own_pod(cluster, "new-ca") as pod:
        _in_sync(pod)
    cluster.control.kill()
    wait_until(lambda: not frontend.sidecar.feed()["connected"], "the feed is away")
    cluster.control.start()
    _in_sync(frontend)
    _a_change_arrives(cluster, frontend, "reconnected")


def test_a_key_that_does_not_fit_leaves_the_old_certificate_in_force(cluster, frontend):
    _renew(cluster, lambda _ca: cluster.control.secret.spoil(), "tls.key: not the key of the certificate in ")
    with own_pod(cluster, "after-spoilt") as pod:
        _in_sync(pod)
    _renew(cluster, cluster.control.secret.renew, "tls.crt read again: the certificate is valid until ")
    _a_change_arrives(cluster, frontend, "mended")


@pytest.mark.parametrize("program, flags, said", [
    ("portolan-proxy", ["--node", "default/a", "--control", ADDRESS4, "--control-ca", "/none/ca.crt"],
     "/none/ca.crt: No such file or directory"),
    ("portolan-control", ["--source", "files:/tmp", "--tls-cert", "/none/tls.crt", "--tls-key", "/none/tls.key",
                          "--xds-auth", "none"],
     "/none/tls.crt: No such file or directory"),
])
def test_without_its_files_a_program_ends_and_says_why(program, flags, said):
    listen = {"portolan-proxy": ["--dns-listen", "127.0.0.1:0", "--forward-listen", "127.0.0.1:0",
                                 "--admin-listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"],
              "portolan-control": ["--status-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]}[program]
    done = run([portolan(program), *flags, *listen], check=False)
    assert done.returncode == 1 and said in done.stderr


def _renew(cluster, change, said):
    """Makes the change and waits until the control plane's log has one line more that says so."""
    before = cluster.control.log().count(said)
    change(cluster.control.ca)
    wait_until(lambda: cluster.control.log().count(said) > before, f"'{said}'", timeout=5)


def _in_sync(pod):
    wait_until(lambda: pod.sidecar.feed()["inSync"], "the feed is in sync", timeout=25)


def _a_change_arrives(cluster, pod, name):
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
               "spec": {"clusterIP": "10.43.0.81", "clusterIPs": ["10.43.0.81"], "ports": [{"port": 80}]}}
    cluster.apply(service)
    wait_until(lambda: dig(pod, f"{name}.default.svc.cluster.local").data("A") == ["10.43.0.81"], "the change",
               timeout=5)
    cluster.delete(service)
