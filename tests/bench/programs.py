"""What is started for a bench, and what CPU it took."""
import os, signal, socket, subprocess


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def family(pid):
    """The process and all below it: nsd forks, and what is measured may stand behind taskset."""
    pids, at = [pid], 0
    while at < len(pids):
        try:
            for task in os.listdir(f"/proc/{pids[at]}/task"):
                with open(f"/proc/{pids[at]}/task/{task}/children") as f:
                    pids += [int(p) for p in f.read().split()]
        except OSError:
            pass
        at += 1
    return pids


def thread_cpu_ns(pid):
    """CPU of each thread of the process so far."""
    spent = {}
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                spent[int(task)] = int(f.read().split()[0])
    except OSError:
        pass
    return spent


def cpu_ns(pid):
    return sum(sum(thread_cpu_ns(p).values()) for p in family(pid))


class Program:
    """A child with a log of its own, in a folder of its own."""

    def __init__(self, command, folder, cpus=None, environment=None):
        self.folder = folder
        self.log = open(f"{folder}/out", "w")
        pin = ["taskset", "-c", cpus] if cpus else []
        self.child = subprocess.Popen(pin + command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                      env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child.poll() is None

    def said(self, limit=2000):
        with open(f"{self.folder}/out") as f:
            return f.read()[-limit:]

    def stop(self, patience=20):
        pids = family(self.pid)
        self.child.terminate()
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.child.wait()
        self.log.close()
