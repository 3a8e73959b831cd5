#!/usr/bin/python3
"""What a review takes, from kube-apiserver's side of the connection.

    tests/bench/injector/run.py --build build [--review 02-deployment] [--rounds 5] [--quick] [--check] [--realtime]

The real portolan-injector over TLS on one core, asked by h2load, on another, with a review that a real API server
sent (tests/injector/recordings). In the same rounds the floor: nginx drops the same body unread and sends a file
that holds the injector's answer to it.

  most        8 reviews always under way: HTTP/1.1 on 8 connections, HTTP/2 on one
  paced       1,000 reviews a second, on as many connections
  connection  one for each review, as in a burst of kube-apiserver's over HTTP/1.1; 100 a second
"""
import argparse, json, os, shutil, socket, ssl, statistics, subprocess, sys, tempfile, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from programs import Program, cpu_ns, free_port, write
from promises import Verdicts

RECORDINGS = os.path.join(HERE, "..", "..", "injector", "recordings")
CPU_MS, P99_MS = 1.0, 20.0
TEMPLATE = """image: portolan:0.1.0
service-cidrs: [10.96.0.0/16]
pod-cidrs: [10.244.0.0/16]
"""
NGINX = """daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; keepalive_requests 100000000; open_file_cache max=8;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {folder}/../tls.crt; ssl_certificate_key {folder}/../tls.key; ssl_protocols TLSv1.2 TLSv1.3;
    root {folder}; default_type application/json;
    # A file is not for POST, says nginx, and may say so by sending it.
    location = /inject {{ error_page 405 =200 /answer; try_files /answer =404; }}
  }}
}}
"""
# What h2load is told beside the number of requests.
LOADS = {
    "most, HTTP/1.1": ["--h1", "-c8"],
    "most, HTTP/2": ["-c1", "-m8"],
    "paced, HTTP/1.1": ["--h1", "-c8", "--rps=125"],
    "paced, HTTP/2": ["-c1", "-m100", "--rps=1000"],
    "connection, HTTP/1.1": ["--h1"],
    "connection, HTTP/2": [],
}


def at(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def ask(port, review):
    """The whole answer, and that it holds a patch."""
    request = urllib.request.Request(f"https://127.0.0.1:{port}/inject?timeout=5s", review, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5, context=ssl._create_unverified_context()) as answer:
        body = answer.read()
    if "patch" not in json.loads(body)["response"]:
        sys.exit(f"the pod of the review is not injected: {body.decode()}")
    return body


class Server:
    def __init__(self, name, command, folder, port, cpus, schedule):
        self.name, self.port, self.schedule = name, port, schedule
        self.program = Program([*schedule, *command], folder, cpus)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if not self.program.running() or time.monotonic() > end:
                    sys.exit(f"{name}: {self.program.said()}")
                time.sleep(0.05)

    def load(self, folder, arguments, count, cpus):
        """Reviews a second, CPU of one in microseconds, and how many milliseconds each took."""
        log = f"{folder}/requests"
        if os.path.exists(log):
            os.remove(log)
        if not any(a.startswith("-c") for a in arguments):
            arguments = [f"-c{count}", f"-r{min(count, 100)}", *arguments]
        before = cpu_ns(self.program.pid)
        run = subprocess.run([*self.schedule, "taskset", "-c", cpus, "h2load", f"-n{count}", f"--log-file={log}", f"-d{folder}/review",
                              "-Hcontent-type: application/json", *arguments,
                              f"https://127.0.0.1:{self.port}/inject?timeout=5s"], capture_output=True, text=True)
        cpu = (cpu_ns(self.program.pid) - before) / 1000 / count
        with open(log) as f:
            rows = [[int(column) for column in line.split()[:3]] for line in f]
        if len(rows) != count or any(status != 200 for _, status, _ in rows):
            sys.exit(f"{self.name}: {run.stdout[-2000:]}{run.stderr}")
        seconds = max(start + took for start, _, took in rows) - min(start for start, _, _ in rows)
        return count / seconds * 1e6, cpu, [took / 1000 for _, _, took in rows]


def start(servers, folder, build, review, cpus, schedule):
    for name in ("injector", "nginx"):
        os.mkdir(f"{folder}/{name}")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/tls.key", "-out",
                    f"{folder}/tls.crt"], check=True, capture_output=True)
    write(f"{folder}/injection.yaml", TEMPLATE)
    with open(f"{RECORDINGS}/{review}.json") as f:
        sent = json.dumps(json.load(f), separators=(",", ":"))
    write(f"{folder}/review", sent)
    port = free_port(socket.SOCK_STREAM)
    servers.append(Server("injector", [
        f"{build}/bin/portolan-injector", "--listen", f"127.0.0.1:{port}", "--template", f"{folder}/injection.yaml",
        "--namespace", "portolan-system", "--tls-cert", f"{folder}/tls.crt", "--tls-key", f"{folder}/tls.key",
        "--drain-time", "0s", "--log-level", "warn"], f"{folder}/injector", port, cpus, schedule))
    answer = ask(port, sent.encode())
    print(f"{review}: {len(sent.encode())} bytes, answered with {len(answer)}")
    write(f"{folder}/nginx/answer", answer.decode())
    port = free_port(socket.SOCK_STREAM)
    write(f"{folder}/nginx/conf", NGINX.format(folder=f"{folder}/nginx", port=port))
    servers.append(Server("nginx", ["nginx", "-c", f"{folder}/nginx/conf"], f"{folder}/nginx", port, cpus, schedule))
    ask(port, sent.encode())


def tell(what, runs, verdicts):
    for name, results in runs.items():
        rate, cpu = (statistics.median(r[i] for r in results) for i in (0, 1))
        p50, p99 = (statistics.median(at(r[2], share) for r in results) for share in (0.5, 0.99))
        print(f"{what:<22}{name:<10}{rate:>11,.0f}{cpu:>8.0f}{p50:>8.2f}{p99:>8.2f}", flush=True)
        if name == "injector" and what.startswith("most"):
            verdicts.add(f"CPU of a review, ms, {what[6:]}", cpu / 1000, CPU_MS)
        if name == "injector" and what.startswith("paced"):
            verdicts.add(f"p99 at 1,000 a second, ms, {what[7:]}", p99, P99_MS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--review", default="02-deployment")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--quick", action="store_true", help="one round of a tenth")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a promise is not held")
    parser.add_argument("--realtime", action="store_true", help="as root, on a machine with other work: it waits")
    options = parser.parse_args()
    schedule = ["chrt", "--rr", "5"] if options.realtime else []
    if options.quick:
        options.rounds, options.requests = 1, options.requests // 10
    ours, theirs = ("0", "1") if len(os.sched_getaffinity(0)) > 1 else ("0", "0")
    folder, servers, verdicts = tempfile.mkdtemp(prefix="injector-bench-"), [], Verdicts()
    os.chmod(folder, 0o755)  # nginx gives up root
    try:
        start(servers, folder, os.path.abspath(options.build), options.review, ours, schedule)
        print(f"{'':<22}{'':<10}{'per second':>11}{'CPU us':>8}{'p50 ms':>8}{'p99 ms':>8}")
        for what, arguments in LOADS.items():
            count = options.requests // (20 if what.startswith("connection") else 1)
            runs = {server.name: [] for server in servers}
            for _ in range(options.rounds):
                for server in servers:
                    runs[server.name].append(server.load(folder, arguments, count, theirs))
            tell(what, runs, verdicts)
    finally:
        for server in reversed(servers):
            server.program.stop()
        shutil.rmtree(folder)
    verdicts.print()
    return 1 if options.check and verdicts.missed else 0


if __name__ == "__main__":
    sys.exit(main())
