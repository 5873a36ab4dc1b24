#!/usr/bin/env python3
"""The server under load, against a bare echo server in the same run. Run by tools/bench_serve.

  serve_bench.py [rates] [streams] [kills] [faults] [soak] | all      default: all, which is all but soak

rate_load sends requests at a fixed rate, stream_load holds sessions; both are small C++ programs, because they
share the processor with the server. Latencies are this machine's; the ratios to the echo server, measured between
the same messages, are what can be compared. At the end comes the table of docs/benchmarks_serving.md.
"""
import json
import os
import pathlib
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/operations"))
import harness  # noqa: E402
import restarts  # noqa: E402

BENCH = pathlib.Path(os.environ.get("GRAUPEL_BENCH", harness.SOURCE / "build/release/bench"))
STANDIN = harness.SOURCE / "build/release/standin/libhailort_standin_4_23.so"
ROUNDS, ROUND_SECONDS, CONNECTIONS = 3, 6, 8
INPUT = (9, 2, 100)
OCTETS = "Content-Type: application/octet-stream"
table = []  # (bar, wanted, measured, is met)


def row(bar, wanted, measured, met):
    table.append((bar, wanted, measured, met))
    print(f"   {'met' if met else 'MISSED'}: {bar}: {measured}", flush=True)


class Echo:
    """The bare server, while it is needed."""

    def __enter__(self):
        self.port = harness.free_port()
        self.process = subprocess.Popen([BENCH / "echo_server", str(self.port)])
        time.sleep(0.2)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def used(process):
    """Seconds of processor time and context switches so far, of all threads."""
    cpu = switches = 0
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        cpu += int((task / "schedstat").read_text().split()[0]) / 1e9
        switches += sum(int(line.split()[1]) for line in (task / "status").read_text().splitlines()
                        if "ctxt_switches" in line)
    return cpu, switches


def resident_mb(process):
    text = pathlib.Path(f"/proc/{process.pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def measured(server, words, environment=None):
    """Runs a load tool against `server`: what it printed, with the server's own use per request or window."""
    before = used(server.process)
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          env={**os.environ, **(environment or {})})
    after = used(server.process)
    if not done.stdout:
        raise AssertionError(f"{words[0]}: {done.stderr}")
    if done.stderr:
        print(done.stderr.strip(), file=sys.stderr)
    result = json.loads(done.stdout)
    count = max(1, result.get("requests", result.get("windows", 0)))
    result["cpu_us"], result["switches"] = [(b - a) / count for a, b in zip(before, after)]
    result["cpu_us"] *= 1e6
    return result


def write_bodies(folder, name):
    """form -> (path of a body, headers), for binary tensors and JSON; any finite numbers do."""
    numbers = [value for row in zip(*[sum(pair, []) for pair in harness.window()]) for value in row]
    head = json.dumps({"inputs": [{"name": name, "datatype": "FP32", "shape": [1, *INPUT],
                                   "parameters": {"binary_data_size": 4 * len(numbers)}}],
                       "parameters": {"binary_data_output": True}}).encode()
    binary, text = os.path.join(folder, "binary"), os.path.join(folder, "json")
    pathlib.Path(binary).write_bytes(head + struct.pack(f"<{len(numbers)}f", *numbers))
    pathlib.Path(text).write_text(json.dumps({"inputs": [
        {"name": name, "datatype": "FP32", "shape": [1, *INPUT], "data": [round(n, 6) for n in numbers]}]}))
    return {"binary": (binary, [OCTETS, f"Inference-Header-Content-Length: {len(head)}"]),
            "json": (text, ["Content-Type: application/json"])}


def load(server, target, rate, seconds, body, environment=None):
    path, headers = body
    return measured(server, [BENCH / "rate_load", server.port, target, rate, seconds, CONNECTIONS, path, *headers],
                    environment)


def stage_means(text):
    """Mean microseconds of each stage, from /metrics."""
    means = {}
    for stage in ("parse", "queue", "infer", "decide"):
        total, count = [sum(float(value) for value in re.findall(
            rf"^graupel_{stage}_duration_seconds_{kind}\S* (\S+)$", text, re.M)) for kind in ("sum", "count")]
        means[stage] = round(1e6 * total / max(count, 1), 1)
    return means


def show(who, result):
    late = result.get("client_late_p99_ms", 0)
    print(f"   {who:8} p50 {result['p50_ms']:.2f} p99 {result['p99_ms']:.2f} max {result['max_ms']:.2f} ms, "
          f"client late p99 {late:.2f} ms; {result['cpu_us']:.0f} us of processor, {result['switches']:.1f} "
          f"context switches each", flush=True)


def rates():
    for form, rate in (("binary", 2000), ("json", 1000)):
        with Echo() as echo, harness.Served("-q") as server, tempfile.TemporaryDirectory() as folder:
            name = json.loads(server.call("GET", "/v2/models/fsq")[2])["inputs"][0]["name"]
            body = write_bodies(folder, name)[form]
            load(server, "/v2/models/fsq/infer", rate, 1, body)  # first use of everything
            found = {"echo": [], "graupel": []}
            for _ in range(ROUNDS):
                found["echo"].append(load(echo, "/", rate, ROUND_SECONDS, body))
                found["graupel"].append(load(server, "/v2/models/fsq/infer", rate, ROUND_SECONDS, body))
                for who in found:
                    show(who, found[who][-1])
            print(f"   means in us: {stage_means(server.call('GET', '/metrics')[2])}")
        p99 = {who: [each["p99_ms"] for each in found[who]] for who in found}
        cpu = {who: statistics.median(each["cpu_us"] for each in found[who]) for who in found}
        ratio = statistics.median(p99["graupel"]) / statistics.median(p99["echo"])
        bad = sum(each["failed"] + each["different"] + each["connections_lost"] for each in found["graupel"])
        row(f"p99, one window per request, {form}, {rate:,}/s", "< 5 ms",
            f"{', '.join(f'{each:.2f}' for each in p99['graupel'])} ms; echo "
            f"{', '.join(f'{each:.2f}' for each in p99['echo'])} ms; middle rounds **{ratio:.1f} times** the echo's. "
            f"Processor time {cpu['graupel']:.0f} us a request, {cpu['graupel'] / cpu['echo']:.1f} times the echo's "
            f"{cpu['echo']:.0f}", statistics.median(p99["graupel"]) < 5)
        row(f"requests that failed or differed, {form}", "0",
            f"{bad} of {sum(each['requests'] for each in found['graupel']):,}", bad == 0)


def stream(server, seconds, sessions, *more):
    return measured(server, [BENCH / "stream_load", server.port, sessions, seconds, 10, *more])


def streams(seconds=20, sessions=500):
    with Echo() as echo:
        bare = stream(echo, min(seconds, 20), sessions, "echo")
    show("echo", bare)
    with harness.Served("-q") as server:
        samples, stop = [], threading.Event()

        def watch():
            while not stop.wait(max(1.0, seconds / 60)):
                samples.append(resident_mb(server.process))

        watcher = threading.Thread(target=watch)
        watcher.start()
        result = stream(server, seconds, sessions)
        stop.set()
        watcher.join()
    show("graupel", result)
    bad = result["over_50_ms"] + result["errors"] + result["connections_lost"]
    row(f"{sessions} sessions, 2 sensors at 100 Hz, hop 0.5 s, {seconds:.0f} s: answer after a window's last sample",
        "≤ 50 ms each",
        f"p50 {result['p50_ms']:.2f}, p99 {result['p99_ms']:.2f}, slowest {result['max_ms']:.1f} ms; echo "
        f"{bare['p50_ms']:.2f}, {bare['p99_ms']:.2f}, {bare['max_ms']:.1f} ms; p99 "
        f"**{result['p99_ms'] / bare['p99_ms']:.1f} times** the echo's. Late: {result['over_50_ms']} of "
        f"{result['windows']:,} (echo {bare['over_50_ms']} of {bare['windows']:,}); errors {result['errors']}, "
        f"connections lost {result['connections_lost']}. The client was late by up to "
        f"{result['client_late_max_ms']:.1f} ms. Processor time {result['cpu_us']:.0f} us a window with its samples, "
        f"{result['cpu_us'] / bare['cpu_us']:.1f} times the echo's", bad == 0)
    middle, end, most = samples[len(samples) // 2], samples[-1], max(samples)
    # A session keeps its last windows: memory grows for the first minute, and is judged flat in a soak only.
    is_soak = seconds >= 300
    row(f"memory in those {seconds:.0f} s", "< 256 MB, flat" if is_soak else "< 256 MB",
        f"{middle:.1f} MB half-way, {end:.1f} at the end, {most:.1f} at most", most < 256 and (not is_soak or end < 1.02 * middle))


def soak():
    streams(seconds=float(os.environ.get("SOAK_SECONDS", "600")))


def kills():
    result = restarts.run(cycles=10, sessions=8, seconds_between=1.5, load=True)
    print(f"   {json.dumps(result)}")
    row("10 kill −9 under load: windows of acknowledged samples without an answer, or with another one", "0",
        f"{result['lost']} and {result['different']} of {result['windows']}; down for {result['down_ms']} ms each",
        result["lost"] + result["different"] + result["answered_twice_differently"] == 0 < result["windows"])


# What the stand-in does, by calls of its functions so far: POINT STATUS or milliseconds, COUNT, AFTER.
FAULTS = ";".join(["fault read 4 3 500", "fault write 63 2 1500", "hang read 400 1 2500", "fault read 36 20 3500",
                   "fault read 62 1 4500", "hang write 400 2 5500", "fault read 4 200 6500", "fault vdevice 74 4 2",
                   "fault configure 36 3 4", "fault scan 64 5 8"])


def faults(rate=1000, seconds=15):
    if not STANDIN.exists():
        return row("device fault schedule under load", "0 failed", "not measured: no stand-in is built", False)
    with tempfile.TemporaryDirectory() as folder, Echo() as echo:
        bundle, body, expected = [os.path.join(folder, name) for name in ("net.graupel", "body", "expected")]
        subprocess.run([BENCH / "device_bundle", bundle, body], check=True)
        sent = (body, ["Content-Type: application/json"])
        with harness.Served("-q", "--engine", "cpu", bundles=[bundle]) as server:
            text = server.call("POST", "/v2/models/net/infer", pathlib.Path(body).read_text())[2]
            pathlib.Path(expected).write_text(text[text.index('"outputs":'):])
        bare = load(echo, "/", rate, 5, sent)
        device = {"GRAUPEL_HAILORT": str(STANDIN), "GRAUPEL_STANDIN_SCRIPT": FAULTS}
        with harness.Served("-q", "--engine", "hailort", "--device-deadline-ms", "100", bundles=[bundle],
                            environment=device) as server:
            result = load(server, "/v2/models/net/infer", rate, seconds, sent, {"RATE_LOAD_EXPECTED": expected})
            metrics = server.call("GET", "/metrics")[2]
    openings = sum(float(n) for n in re.findall(r"^graupel_device_openings_total\S* (\S+)$", metrics, re.M))
    show("echo", bare)
    show("graupel", result)
    bad = result["failed"] + result["connections_lost"]
    both = any(name.startswith("hailort/") for name in result["engines"]) and len(result["reasons"]) > 1
    row(f"device fault schedule under load ({rate:,}/s, a **stand-in** library)", "0 failed",
        f"{bad} failed, {result['different']} with other bytes than the CPU's, of {result['requests']:,}; by engine "
        f"{json.dumps(result['engines'])}, reasons {json.dumps(result['reasons'])}, device opened {openings:.0f} "
        f"times; p99 {result['p99_ms']:.1f} ms, {result['p99_ms'] / bare['p99_ms']:.1f} times the echo's",
        bad + result["different"] == 0 and both)


def print_table():
    print("\n| bar | wanted | measured |\n|---|---|---|")
    for bar, wanted, text, met in table:
        print(f"| {bar} | {wanted} | {text}{'' if met else '. **Missed**'} |")


if __name__ == "__main__":
    modes = {"rates": rates, "streams": streams, "kills": kills, "faults": faults, "soak": soak}
    asked = [word for word in sys.argv[1:] if word != "all"] or ["rates", "streams", "kills", "faults"]
    unknown = [word for word in asked if word not in modes]
    if unknown:
        sys.exit(f"serve_bench: '{unknown[0]}' is none of {', '.join(modes)}, all")
    print(time.strftime("%Y-%m-%d %H:%M"), f"load average {os.getloadavg()[0]:.1f}", flush=True)
    for what in asked:
        begun = time.monotonic()
        print(f"-- {what}", flush=True)
        modes[what]()
        print(f"   {time.monotonic() - begun:.0f} s", flush=True)
    print_table()
    sys.exit(0 if all(met for *_, met in table) else 1)
