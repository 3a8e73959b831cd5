#!/usr/bin/python3
"""The table of learned addresses: what each operation costs, and whether who connects as soon as an address was
learned is ever refused (exit status 1 if so).

    tests/bench/learned/run.py --build build [--scenario table,rounds] [--count 1000000]

  table    the table alone: each operation, and a million rounds of two pairs of threads
  rounds   a sidecar with a thousand rules in force (rules.py), real questions and real connections, redirected to it
           in a network namespace of its own; each round a name and an address of its own (rounds.cc). Needs root
"""
import argparse, json, os, shutil, socket, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "dns")]
import rules
from programs import free_port
from servers import Bench, expect_denied, portolan_command

SIDECAR = 1337  # the user whose connections are not redirected
NETWORK = """
ip link set lo up
ip route add local 10.80.0.0/12 dev lo
iptables -t nat -A OUTPUT -p tcp -d 10.80.0.0/12 -m owner ! --uid-owner {sidecar} -j REDIRECT --to-ports {port}
sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_close=1 net.ipv4.ip_local_port_range="1024 65535"
"""
SECONDS = 1500


def table(args):
    return subprocess.run([f"{args.build}/bin/learned_bench"]).returncode


def rounds(args):
    if os.geteuid() != 0:
        sys.exit("rounds makes a network namespace: run it as root")
    if "PORTOLAN_BENCH_NETNS" not in os.environ:
        command = [sys.executable, "-B", __file__, "--build", args.build, "--scenario", "rounds",
                   "--count", str(args.count)]
        os.environ["PORTOLAN_BENCH_NETNS"] = "1"
        return subprocess.run(["unshare", "--net", *command]).returncode

    home = tempfile.mkdtemp(prefix="portolan-learned-bench-")
    os.chmod(home, 0o755)
    forward, upstream = free_port(socket.SOCK_STREAM), free_port()
    subprocess.run(["sh", "-e"], input=NETWORK.format(sidecar=SIDECAR, port=forward), text=True, check=True)
    bench = Bench(args.build, home)
    try:
        control = bench.control(1, others=rules.manifests([], ["*.example.org"]))

        def command(folder, port):
            os.chown(folder, SIDECAR, SIDECAR)
            return ["setpriv", f"--reuid={SIDECAR}", f"--regid={SIDECAR}", "--clear-groups",
                    *portolan_command(args.build, folder, port, control.xds, upstream, node=rules.NODE,
                                      flags=("--forward-listen", f"127.0.0.1:{forward}"))]

        sidecar = bench.server("portolan", command, cpus=None)
        expect_denied(sidecar)
        out = subprocess.run([f"{args.build}/bin/learned_bench_rounds", "--dns", f"127.0.0.1:{sidecar.port}",
                              "--upstream", f"127.0.0.1:{upstream}", "--count", str(args.count)],
                             capture_output=True, text=True, timeout=SECONDS)
        if not out.stdout:
            sys.exit(f"rounds: {out.stderr}{sidecar.program.said()}")
        said = json.loads(out.stdout)
        print("\nrounds: asked, answered, dialled at once: {reached} reached, {refused} refused, {unanswered} not"
              " answered in {seconds} s; {guessed} of {guesses} addresses reached that no name led to".format(**said))
        return 0 if out.returncode == 0 and said["unanswered"] <= args.count / 1000 else 1
    finally:
        bench.stop()
        shutil.rmtree(home, ignore_errors=True)


SCENARIOS = {"table": table, "rounds": rounds}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--scenario", default=",".join(SCENARIOS), help="names, with commas; default all")
    p.add_argument("--count", type=int, default=1_000_000, help="rounds with real connections")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    if unknown := set(args.scenario.split(",")) - set(SCENARIOS):
        p.error(f"--scenario: unknown: {', '.join(sorted(unknown))}")
    sys.exit(max(SCENARIOS[scenario](args) for scenario in args.scenario.split(",")))


if __name__ == "__main__":
    main()
