#!/usr/bin/env python3
"""The server under load, against a bare echo server in the same run. Run by tools/bench_serve.

  serve_bench.py [rates] [streams] [soak] [kills]      default: rates streams kills

`hey` (Debian) sends requests at a fixed rate; stream_load holds sessions. Latencies are this machine's; the
ratios to the echo server, measured between the same requests, are what can be compared.
"""
import json
import os
import pathlib
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
ROUNDS, ROUND_SECONDS, CONNECTIONS = 3, 5, 8
INPUT = (9, 2, 100)


def values():
    flat = [sample for row in zip(*[sum(pair, []) for pair in harness.window()]) for sample in row]
    return flat  # [sensor x channel][sample]; any finite numbers do


def bodies(folder, name):
    """(path, hey's options, the path of the request) for binary and JSON."""
    numbers = values()
    head = json.dumps({"inputs": [{"name": name, "datatype": "FP32", "shape": [1, *INPUT],
                                   "parameters": {"binary_data_size": 4 * len(numbers)}}],
                       "parameters": {"binary_data_output": True}}).encode()
    binary, text = os.path.join(folder, "binary"), os.path.join(folder, "json")
    pathlib.Path(binary).write_bytes(head + struct.pack(f"<{len(numbers)}f", *numbers))
    pathlib.Path(text).write_text(json.dumps({"inputs": [
        {"name": name, "datatype": "FP32", "shape": [1, *INPUT], "data": [round(n, 6) for n in numbers]}]}))
    return {"binary": (binary, ["-T", "application/octet-stream", "-H",
                                f"Inference-Header-Content-Length: {len(head)}"]),
            "json": (text, ["-T", "application/json"])}


def hey(url, body, rate, seconds=ROUND_SECONDS):
    """Requests at `rate` per second: sorted seconds of the answers, and how many were not 200."""
    path, options = body
    words = ["hey", "-z", f"{seconds}s", "-c", str(CONNECTIONS), "-q", str(rate // CONNECTIONS), "-m", "POST",
             "-D", path, "-o", "csv", *options, url]
    rows = [line.split(",") for line in subprocess.run(words, capture_output=True, text=True,
                                                       check=True).stdout.splitlines()[1:]]
    took = sorted(float(row[0]) for row in rows)
    return took, sum(row[6] != "200" for row in rows)


def quantile(ordered, share):
    return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def rates():
    port = harness.free_port()
    echo = subprocess.Popen([BENCH / "echo_server", str(port)])
    try:
        with harness.Served("-q") as server, tempfile.TemporaryDirectory() as folder:
            name = json.loads(server.call("GET", "/v2/models/fsq")[2])["inputs"][0]["name"]
            for form, rate in (("binary", 2000), ("json", 1000)):
                body = bodies(folder, name)[form]
                found = {"echo": [], "graupel": []}
                for _ in range(ROUNDS):
                    for who, url in (("echo", f"http://127.0.0.1:{port}/"),
                                     ("graupel", f"http://127.0.0.1:{server.port}/v2/models/fsq/infer")):
                        took, failed = hey(url, body, rate)
                        found[who].append((quantile(took, 0.5), quantile(took, 0.99), len(took) / ROUND_SECONDS,
                                           failed))
                for who, rounds in found.items():
                    print(f"{form:7}{who:9}" + "  ".join(f"p50 {a:.2f} p99 {b:.2f} ms at {c:.0f}/s, {d} failed"
                                                         for a, b, c, d in rounds), flush=True)
                best = [min(each[1] for each in found[who]) for who in ("echo", "graupel")]
                middle = [statistics.median(each[1] for each in found[who]) for who in ("echo", "graupel")]
                print(f"{form:7}p99 of the best round {best[1]:.2f} ms, {best[1] / best[0]:.2f} times echo's; of the "
                      f"middle one {middle[1]:.2f} ms, {middle[1] / middle[0]:.2f} times", flush=True)
    finally:
        echo.kill()
        echo.wait()


def resident_mb(process):
    text = pathlib.Path(f"/proc/{process.pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def streams(seconds=20, sessions=500):
    with harness.Served("-q") as server:
        samples, stop = [], threading.Event()

        def watch():
            while not stop.wait(max(1.0, seconds / 60)):
                samples.append(resident_mb(server.process))

        watcher = threading.Thread(target=watch)
        watcher.start()
        done = subprocess.run([BENCH / "stream_load", str(server.port), str(sessions), str(seconds)],
                              capture_output=True, text=True)
        stop.set()
        watcher.join()
        print(done.stdout.strip(), done.stderr.strip())
        middle = samples[len(samples) // 2]
        print(f"memory: {samples[0]:.1f} MB at first, {middle:.1f} half-way, {samples[-1]:.1f} at the end, "
              f"{max(samples):.1f} at most", flush=True)


def soak():
    streams(seconds=float(os.environ.get("SOAK_SECONDS", "600")))


def kills():
    result = restarts.run(cycles=10, sessions=8, seconds_between=1.5, load=True)
    print(f"kill -9: {json.dumps(result)}", flush=True)


if __name__ == "__main__":
    print(time.strftime("%Y-%m-%d %H:%M"), f"load {os.getloadavg()[0]:.1f}", flush=True)
    for what in sys.argv[1:] or ["rates", "streams", "kills"]:
        print(f"-- {what}", flush=True)
        {"rates": rates, "streams": streams, "soak": soak, "kills": kills}[what]()
