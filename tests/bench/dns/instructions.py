"""Instructions that the sidecar itself spends on an answer, without the kernel's, by callgrind."""
import glob, re, shutil, subprocess

from programs import Program, free_port
from servers import Server, portolan_command

SCENARIOS = ("a", "nodata", "nxdomain", "srv", "headless3")
NAMES = 500
QUERIES = 20000
# Everything between the loop's wake-up and the last sendmmsg.
COLLECTED = "portolan::dns::UdpListener::OnReadable()"


def count(bench, control, scenario, flags):
    """Instructions of an answer; None without one."""
    folder, port = bench.folder(f"callgrind-{scenario}"), free_port()
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind",
               f"--toggle-collect={COLLECTED}"] + portolan_command(bench.build, folder, port, control.xds, flags=flags)
    program = Program(command, folder)
    server = Server(bench.build, "portolan", port, program)
    answers = None
    if server.wait(scenario, NAMES, 40):
        subprocess.run(["callgrind_control", "--zero", str(program.pid)], capture_output=True, check=True)
        answers = server.load(scenario, NAMES, QUERIES, 128)
    program.stop()
    if not answers:
        return None
    collected = 0
    for path in glob.glob(f"{folder}/callgrind*"):
        with open(path) as f:
            found = re.search(r"^(?:summary|totals): (\d+)", f.read(), re.M)
        collected += int(found.group(1)) if found else 0
    return collected / answers["received"]


def run(bench, args, verdicts):
    if shutil.which("valgrind") is None:
        return print("\ninstructions: valgrind is not installed, left out")
    control = bench.control(NAMES, NAMES)
    print("\ninstructions: of the sidecar for an answer, without the kernel's")
    print(f"{'':<16}{'eager':>16}{'on demand':>16}")
    for scenario in SCENARIOS:
        counted = [count(bench, control, scenario, flags) for flags in (("--endpoints", "eager"), ())]
        print(f"{scenario:<16}" + "".join(f"{'no such answers' if c is None else format(c, '.0f'):>16}"
                                          for c in counted), flush=True)
