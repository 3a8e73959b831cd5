"""UDP through the sidecar, nginx's stream module and the kernel alone. haproxy carries none.

The sidecar is reached by TPROXY, as portolan-init sets it up; nginx, which has one fixed upstream, by a
REDIRECT: that is how each of them is used.
"""
import json, os, shutil, socket, subprocess, sys, time

import network
from peers import AS_SIDECAR, FIRST, UDP_SERVICE, portolan
from programs import Program, cpu_ns, free_port, write

# name, flows, datagrams under way in each, bytes
SHAPES = [("one at a time", 64, 1, 64), ("in bursts", 16, 16, 64), ("large", 16, 16, 1400)]


def nginx_command(folder, port):
    servers = " ".join(f"server {e}:{network.PORT};" for e in network.ENDPOINTS)
    write(f"{folder}/conf", f"""load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
stream {{
    upstream endpoints {{ {servers} }}
    server {{
        listen 127.0.0.1:{port} udp;
        proxy_pass endpoints;
        proxy_timeout 1h;
    }}
}}
""")
    return AS_SIDECAR + ["nginx", "-e", "stderr", "-c", f"{folder}/conf"]


def portolan_command(bench, folder, port, xds):
    program = f"{folder}/portolan-proxy"
    command = portolan(bench.build, folder, port, xds)
    shutil.copy(command[0], program)
    network.run(f"setcap cap_net_raw+p {program}")
    init = [f"{bench.build}/bin/portolan-init", "apply", "--udp", "tproxy", "--service-cidr", f"{UDP_SERVICE}/32",
            "--forward-port", str(port), "--resolv-conf", f"{folder}/resolv.conf", "--log-level", "warn"]
    subprocess.run(init, check=True)
    return AS_SIDECAR + [program, *command[1:], "--udp", "tproxy"]


class Peer:
    def __init__(self, bench, label, targets, program=None):
        self.bench, self.label, self.targets, self.program = bench, label, targets, program

    def load(self, flows, window, size, count):
        to = [x for t in self.targets for x in ("--target", f"{t}:{network.PORT}")]
        listen = [x for e in network.ENDPOINTS for x in ("--endpoint", f"{e}:{network.PORT}")]
        command = ["taskset", "-c", "1", *FIRST, f"{self.bench.build}/bin/udp_bench_load", *to, *listen,
                   "--endpoints-netns", self.bench.network.endpoints, "--flows", str(flows), "--window", str(window),
                   "--bytes", str(size), "--count", str(count)]
        before = self.cpu_us()
        out = subprocess.run(command, capture_output=True, text=True, timeout=150)
        if out.returncode != 0:
            sys.exit(f"{self.label}: {out.stdout}{out.stderr}{self.program.said() if self.program else ''}")
        result = json.loads(out.stdout)
        result["cpu_us"] = self.cpu_us() - before
        return result

    def cpu_us(self):
        return cpu_ns(self.program.pid) / 1000 if self.program else 0.0


def peers(bench, xds):
    made = []
    for label in ("portolan", "nginx"):
        if label == "nginx" and not os.path.exists("/usr/lib/nginx/modules/ngx_stream_module.so"):
            continue
        folder, port = bench.folder(label), free_port(socket.SOCK_DGRAM)
        command = portolan_command(bench, folder, port, xds) if label == "portolan" else nginx_command(folder, port)
        target = UDP_SERVICE if label == "portolan" else network.service_address(69, 0)
        if label == "nginx":
            bench.network.redirect(69, port, "udp")
        program = bench.keep(Program(command, folder, "0"))
        made.append(Peer(bench, label, [target], program))
    time.sleep(2)  # what is not carried yet is lost, and asked again
    return made + [Peer(bench, "direct", network.ENDPOINTS)]


def run(bench, xds, args, verdicts, carried):
    """carried: run.py's table of rounds, with its verdicts."""
    carriers = peers(bench, xds)
    for name, flows, window, size in SHAPES:
        count = args.count * 10
        rounds = []
        for n in range(args.rounds + 1):
            results = {p.label: p.load(flows, window, size, count) for p in carriers}
            if n > 0:
                rounds.append(results)
        carried(carriers, rounds, f"udp, {name}: {count} exchanges of {size} bytes over {flows} flows, {window} under"
                " way in each", f"exchange, {name}", lambda r: r["done"], verdicts, 1, False, "nginx")
        lost = {p.label: sum(r[p.label]["lost"] for r in rounds) for p in carriers}
        print(f"lost: {', '.join(f'{label} {n}' for label, n in lost.items())}", flush=True)
    for peer in carriers[:-1]:
        bench.drop(peer)
