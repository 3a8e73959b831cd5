"""One Service changed among 50,000 while the sidecar answers as fast as it can.

The control plane's stream goes through a relay of ours, so that it is known when the sidecar was
sent the message, and the message is held back until the control plane has done its own work: there are
two cores. From then on is counted: the time to the first answer with the new address, the
CPU of all threads but the worker beyond what they spent in as long a time just before, and the longest
wait of a query beside that of the rest of the run. All threads share one core, so queries wait as long as
the change's work takes there; if they wait longer, something keeps the worker from answering.
"""
import os, select, socket, statistics, threading, time

import world
from programs import free_port, thread_cpu_ns
from servers import expect

SERVICES = 50000
CHANGES = 9
LIVE_LIMIT_MS, CPU_LIMIT_MS = 5.0, 1.0
OLD, NEW = "10.43.250.1", "10.43.250.2"
# Keepalives and acknowledgements are shorter; the message with a Service is not.
MESSAGE_BYTES = 100
HOLD_SECONDS = 0.1
# Around a change, for waits.
WINDOW_MS = 20


class Relay:
    """Passes one connection at a time on to the control plane, noting when it speaks."""

    def __init__(self, to):
        self.to, self.port, self.heard, self.holds = to, free_port(socket.SOCK_STREAM), [], False
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                down, _ = self.listener.accept()
            except OSError:
                return
            with down:
                try:
                    up = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    continue  # it has not begun to listen: the sidecar tries again
                with up:
                    for s in (down, up):
                        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.pass_on(down, up)

    def pass_on(self, down, up):
        while True:
            for ready in select.select([down, up], [], [])[0]:
                try:
                    data = ready.recv(1 << 16)
                except OSError:
                    data = b""
                if not data:
                    return
                if ready is up:
                    if self.holds and len(data) >= MESSAGE_BYTES:
                        time.sleep(HOLD_SECONDS)
                    self.heard.append((time.monotonic_ns(), len(data)))
                    down.sendall(data)
                else:
                    up.sendall(data)

    def message_after(self, ns):
        return next((at for at, size in self.heard if at >= ns and size >= MESSAGE_BYTES), None)

    def stop(self):
        self.listener.close()


def write_changing(folder, address):
    """As an editor or a ConfigMap does it: by rename."""
    with open(f"{folder}/.changing", "w") as f:
        f.write(world.service("changing", address))
    os.rename(f"{folder}/.changing", f"{folder}/changing.yaml")


class Background:
    """CPU of the process's threads without the worker, which is the busiest."""

    def __init__(self, pid):
        self.pid = pid
        self.before = thread_cpu_ns(pid)

    def spent_ms(self):
        now = thread_cpu_ns(self.pid)
        spent = {task: ns - self.before.get(task, 0) for task, ns in now.items()}
        worker = max(spent, key=spent.get)
        return sum(ns for task, ns in spent.items() if task != worker) / 1e6


def one_change(sidecar, relay, folder, addresses):
    """Milliseconds: rename to message, message to new answer, CPU, worst wait meanwhile and otherwise."""
    result = {}

    def load():
        result["load"] = sidecar.load("a", SERVICES, 10**9, 128, "--seconds", 2, "--watch",
                                      f"changing.{world.DOMAIN}")

    relay.holds = True
    thread = threading.Thread(target=load)
    thread.start()
    time.sleep(0.5)
    background = Background(sidecar.program.pid)
    time.sleep(0.5)
    anyway = background.spent_ms()
    background, renamed = Background(sidecar.program.pid), time.monotonic_ns()
    write_changing(folder, addresses[1])
    time.sleep(0.5)
    cpu = background.spent_ms() - anyway
    thread.join()
    said, message = result["load"], relay.message_after(renamed)
    if said is None or message is None or said["changed_ns"] == 0:
        return None
    worst = said["worst_us"]
    at = (message - said["start_ns"]) // 10**6
    meanwhile = worst[at:at + WINDOW_MS]
    otherwise = sorted(w for w in worst[100:at - 50] if w > 0)
    return {"message": (message - renamed) / 1e6, "live": (said["changed_ns"] - message) / 1e6, "cpu": cpu, "anyway": anyway,
            "worst": max(meanwhile) / 1e3, "otherwise": otherwise[int(len(otherwise) * 0.99)] / 1e3}


def run(bench, args, verdicts):
    control = bench.control(SERVICES)
    write_changing(control.manifests, OLD)
    relay = bench.keep(Relay(control.xds))
    control.xds = relay.port
    sidecar = bench.portolan(control)
    expect(sidecar, "a", SERVICES)
    changes = []
    for n in range(CHANGES if not args.quick else 3):
        addresses = (OLD, NEW) if n % 2 == 0 else (NEW, OLD)
        changes.append(one_change(sidecar, relay, control.manifests, addresses))
    seen = [c for c in changes if c is not None]
    if not seen:
        print("\nchange: no change was seen")
        return verdicts.add("change: message to new answer, ms", None, LIVE_LIMIT_MS)
    print(f"\nchange: one of {SERVICES} Services, {len(seen)} of {len(changes)} changes seen, under full load; ms")
    print(f"{'':<50}{'median':>9}{'worst':>9}")
    for what, key in ((f"rename of the manifest to xDS message, held {HOLD_SECONDS} s", "message"),
                      ("xDS message to first new answer", "live"),
                      ("CPU of all threads but the worker, of the change", "cpu"),
                      ("what they spend in half a second anyway", "anyway"),
                      (f"longest wait of a query, {WINDOW_MS} ms from the message", "worst"),
                      ("99 % of other milliseconds have waits below", "otherwise")):
        values = [c[key] for c in seen]
        print(f"{what:<50}{statistics.median(values):>9.2f}{max(values):>9.2f}")
    verdicts.add("change: message to new answer, ms", statistics.median(c["live"] for c in seen), LIVE_LIMIT_MS)
    verdicts.add("change: CPU beside the worker's, ms", statistics.median(c["cpu"] for c in seen), CPU_LIMIT_MS)
    verdicts.add("change: longest wait beyond the p99 of otherwise, ms",
                 statistics.median(c["worst"] - c["otherwise"] for c in seen), CPU_LIMIT_MS)
