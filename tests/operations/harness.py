"""What the operations tests share: a running `graupel serve`, a client, certificates. Standard library only.

GRAUPEL_COMMAND names the command and GRAUPEL_BUNDLE a calibrated bundle (make_bundle.py writes it).
"""
import http.client
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
OPS = SOURCE / "examples" / "ops"
COMMAND = os.environ.get("GRAUPEL_COMMAND", str(SOURCE / "build/release/graupel"))
BUNDLE = os.environ.get("GRAUPEL_BUNDLE", str(SOURCE / "build/release/tests/operations/fsq.graupel"))
SKIPPED = 77  # ctest's SKIP_RETURN_CODE


def need(*programs):
    """Leaves with ctest's "skipped" unless all of the programs are installed."""
    for program in programs:
        if shutil.which(program) is None:
            print(f"SKIPPED: {program} is not installed")
            sys.exit(SKIPPED)


def wait_for(what, condition, seconds=20.0):
    """Waits until condition() is true and gives its value; fails with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    """`graupel serve` in a process of its own; ends drained. Its log is in self.log()."""

    def __init__(self, *options, bundles=None, environment=None, port=0):
        self.folder = tempfile.mkdtemp(prefix="graupel-serve-")
        self.log_path = os.path.join(self.folder, "log")
        words = [COMMAND, "serve", "--json", *([BUNDLE] if bundles is None else bundles)]
        words += ["--port", str(port), *options]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True,
                                            env={**os.environ, **(environment or {})})
        text = ""
        while True:
            line = self.process.stdout.readline()
            text += line
            try:
                self.port = json.loads(text)["port"]
                break
            except (KeyError, ValueError):  # no port in what it says: an error, on its way out
                if not line:
                    raise AssertionError(f"the server did not start: {text}{self.log()}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(timeout=30)

    def log(self):
        return pathlib.Path(self.log_path).read_text()

    def call(self, method, path, body=None, headers=None, tls=None, host="127.0.0.1"):
        """One request; gives (status, headers, text). `tls` is an ssl.SSLContext."""
        if tls is None:
            connection = http.client.HTTPConnection(host, self.port, timeout=20)
        else:
            connection = http.client.HTTPSConnection(host, self.port, timeout=20, context=tls)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()


def window(phase=0.0):
    """A window of two sensors, time x sensor x channel, as a walking person might give."""
    def sample(t, sensor):
        wave = math.sin(2 * math.pi * 1.8 * t / 100 + phase + sensor)
        return [9.81 + 2.0 * wave, 0.5 * wave, 1.0 - wave, 0.3 * wave, 0.1, -0.2 * wave, 0.4, -0.1, 0.2]
    return [[sample(t, 0), sample(t, 1)] for t in range(100)]


def infer_body(phase=0.0):
    return json.dumps({"x": window(phase)})


def make_certificates(folder):
    """A CA, a server's certificate for 127.0.0.1 and a client's, by openssl; and a stranger's CA."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, cwd=folder, stderr=subprocess.DEVNULL)

    for ca in ("ca", "stranger"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "2", "-subj", f"/CN={ca}")
    with open(os.path.join(folder, "san.txt"), "w") as text:
        text.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name, ca in (("server", "ca"), ("client", "ca"), ("intruder", "stranger")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "san.txt")
    return {name: (os.path.join(folder, f"{name}.pem"), os.path.join(folder, f"{name}.key"))
            for name in ("ca", "stranger", "server", "client", "intruder")}
