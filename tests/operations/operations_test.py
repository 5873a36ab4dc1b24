#!/usr/bin/env python3
"""The files of examples/ops against the programs that read them, and against the running server."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import harness

OURS = re.compile(r"\b(?:graupel|edgeinfer|hailo|process)_[a-z0-9_]+\b")


def has(program):
    return unittest.skipUnless(shutil.which(program), f"SKIPPED: {program} is not installed")


def run(*words, text=None):
    return subprocess.run(words, input=text, capture_output=True, text=True, timeout=60)


def metric_names():
    """Every family that metrics.cc makes, with the suffixes of its histograms."""
    text = (harness.SOURCE / "src/serve/metrics.cc").read_text()
    names = set(re.findall(r'"((?:graupel|edgeinfer|hailo|process)_[a-z0-9_]+)"', text))
    return names | {name + end for name in names for end in ("_bucket", "_sum", "_count")}


def dashboard():
    return json.loads((harness.OPS / "grafana/graupel.json").read_text())


def expressions():
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in dashboard()["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]


class Rules(unittest.TestCase):
    @has("promtool")
    def test_promtool_takes_the_files(self):
        for words in (["check", "config", "prometheus.yml"], ["check", "rules", "alerts.yml"],
                      ["test", "rules", "alerts_test.yml"]):
            done = subprocess.run(["promtool", *words], cwd=harness.OPS, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @has("promtool")
    def test_promtool_notices_a_rule_that_is_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            rules = (harness.OPS / "alerts.yml").read_text()
            self.assertIn("> 256e6", rules)
            with open(os.path.join(folder, "alerts.yml"), "w") as text:
                text.write(rules.replace("> 256e6", "> 256e9"))
            shutil.copy(harness.OPS / "alerts_test.yml", folder)
            done = subprocess.run(["promtool", "test", "rules", "alerts_test.yml"], cwd=folder,
                                  capture_output=True, text=True)
            self.assertNotEqual(done.returncode, 0)

    def test_every_number_asked_for_exists(self):
        known = metric_names()
        self.assertGreater(len(known), 60)
        asked = list(expressions())
        self.assertGreater(len(asked), 25)
        rules = re.sub("#.*", "", (harness.OPS / "alerts.yml").read_text())
        asked += [("alerts.yml", line) for line in rules.splitlines() if "action" not in line]
        for where, expression in asked:
            for name in OURS.findall(expression):
                self.assertIn(name, known, f"{where}: {expression}")

    @has("promtool")
    def test_every_panel_is_a_query_prometheus_parses(self):
        filled = {"$__rate_interval": "1m", "$instance": ".*"}
        rules = []
        for index, (_, expression) in enumerate(expressions()):
            for name, value in filled.items():
                expression = expression.replace(name, value)
            self.assertNotIn("$", expression)
            rules.append({"record": f"panel{index}", "expr": expression})
        with tempfile.NamedTemporaryFile("w", suffix=".json") as text:  # JSON is YAML
            json.dump({"groups": [{"name": "panels", "rules": rules}]}, text)
            text.flush()
            done = run("promtool", "check", "rules", text.name)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_panels_do_not_overlap_and_have_descriptions(self):
        taken, ids = set(), set()
        for panel in dashboard()["panels"]:
            self.assertNotIn(panel["id"], ids)
            ids.add(panel["id"])
            self.assertTrue(panel["type"] == "row" or panel["description"], panel["title"])
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


class Scrape(unittest.TestCase):
    @has("promtool")
    def test_metrics_keep_the_rules_of_prometheus(self):
        with harness.Served() as server:
            for phase in range(20):
                self.assertEqual(server.call("POST", "/infer", harness.infer_body(phase))[0], 200)
            server.call("GET", "/healthz")
            server.call("POST", "/infer", "{")
            _, headers, text = server.call("GET", "/metrics")
            self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
            done = run("promtool", "check", "metrics", text=text)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
            self.assertRegex(text, r'graupel_windows_total\{engine="cpu/\w+",model="fsq"\} 20\n')
            self.assertIn('graupel_infer_duration_seconds_bucket{engine="cpu', text)
            self.assertIn('le="5e-05"', text)
            self.assertRegex(text, r'graupel_conformal_set_classes_count\{model="fsq"\} 20\n')
            self.assertRegex(text, r"process_resident_memory_bytes [0-9.e+]+\n")
            self.assertIn("graupel_requests_in_flight 1\n", text)  # this one

    @has("prometheus")
    def test_the_real_prometheus_scrapes_it(self):
        port = harness.free_port()
        with harness.Served() as server, tempfile.TemporaryDirectory() as folder:
            config = (harness.OPS / "prometheus.yml").read_text()
            self.assertIn("graupel:9000", config)
            config = config.replace("graupel:9000", f"127.0.0.1:{server.port}").replace("5s", "200ms")
            config = config.replace("15s", "500ms")
            shutil.copy(harness.OPS / "alerts.yml", folder)
            with open(os.path.join(folder, "prometheus.yml"), "w") as text:
                text.write(config)
            for phase in range(7):
                server.call("POST", "/infer", harness.infer_body(phase))
            log = open(os.path.join(folder, "log"), "w")
            prometheus = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
            try:
                self.ask_prometheus(server, port)
            finally:
                prometheus.send_signal(signal.SIGTERM)
                prometheus.wait(timeout=30)
                log.close()

    def ask_prometheus(self, server, port):
        def ask(path, **query):
            url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    return json.load(answer)["data"]
            except OSError:
                return None

        def value(query):
            result = (ask("query", query=query) or {}).get("result")
            return float(result[0]["value"][1]) if result else None

        harness.wait_for("the first scrape", lambda: value('up{job="graupel"}') == 1.0)
        harness.wait_for("the windows", lambda: value("sum(graupel_windows_total)") == 7.0)
        self.assertEqual(value("graupel_models"), 1.0)
        self.assertEqual(value('sum(graupel_infer_duration_seconds_bucket{le="+Inf"})'), 7.0)
        quantile = value("histogram_quantile(0.5, sum by (le) (graupel_infer_duration_seconds_bucket))")
        self.assertGreater(quantile, 0.0)
        rules = harness.wait_for("the rules", lambda: ask("rules"))["groups"][0]["rules"]
        self.assertEqual(len(rules), (harness.OPS / "alerts.yml").read_text().count("- alert:"))
        self.assertFalse([rule["name"] for rule in rules if rule.get("lastError")])
        server.stop(signal.SIGKILL)
        harness.wait_for("the end to be noticed", lambda: value('up{job="graupel"}') == 0.0)


class Systemd(unittest.TestCase):
    unit = harness.OPS / "graupel.service"

    def words(self):
        return dict(line.split("=", 1) for line in self.unit.read_text().splitlines()
                    if "=" in line and not line.startswith("#"))

    @has("systemd-analyze")
    def test_systemd_takes_the_unit_and_finds_it_locked_in(self):
        with tempfile.TemporaryDirectory() as folder:
            installed = os.path.join(folder, "graupel.service")
            with open(installed, "w") as text:
                text.write(self.unit.read_text().replace("/usr/local/bin/graupel", harness.COMMAND))
            done = run("systemd-analyze", "verify", installed)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
            done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", installed)
            self.assertEqual(done.returncode, 0, done.stdout[-2000:])

    def test_the_server_speaks_the_units_protocol(self):
        """As the unit starts it: by ExecStart's words, with a socket in systemd's place."""
        with tempfile.TemporaryDirectory() as folder, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            models = os.path.join(folder, "models")
            os.mkdir(models)
            shutil.copy(harness.BUNDLE, models)
            path = os.path.join(folder, "notify")
            supervisor.bind(path)
            supervisor.settimeout(20)
            words = self.words()
            options = words["ExecStart"].split()[2:-1]
            self.assertEqual(words["ExecStart"].split()[-1], "$GRAUPEL_OPTIONS")
            options[options.index("/var/lib/graupel/models")] = models
            environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "100000"}
            with harness.Served(*options, bundles=[], environment=environment) as server:
                self.assertIn(b"READY=1", supervisor.recv(1000))
                for _ in range(3):
                    self.assertEqual(supervisor.recv(1000), b"WATCHDOG=1")
                # ExecReload's signal keeps it alive; a stop is announced.
                server.process.send_signal(signal.SIGHUP)
                harness.wait_for("the reload", lambda: '"event":"reloaded"' in server.log())
                self.assertEqual(server.call("GET", "/readyz")[0], 200)
                # A process that does not run says nothing: the watchdog would end it.
                server.process.send_signal(signal.SIGSTOP)
                time.sleep(0.2)
                supervisor.setblocking(False)
                while self.received(supervisor):
                    pass
                time.sleep(0.3)
                self.assertIsNone(self.received(supervisor))
                server.process.send_signal(signal.SIGCONT)
                supervisor.settimeout(20)
                server.process.send_signal(signal.SIGTERM)
                said = supervisor.recv(1000)
                while said == b"WATCHDOG=1":
                    said = supervisor.recv(1000)
                self.assertIn(b"STOPPING=1", said)
                self.assertEqual(server.stop(), 0)

    @staticmethod
    def received(supervisor):
        try:
            return supervisor.recv(1000)
        except BlockingIOError:
            return None

    def test_systemd_waits_longer_than_a_drain_takes(self):
        text = (harness.SOURCE / "cli/serve_flags.h").read_text()
        drain_ms = int(re.search(r"drain_ms = (\d+)", text).group(1))
        self.assertGreater(1000 * int(self.words()["TimeoutStopSec"]), drain_ms)

    @has("strace")
    @has("systemd-analyze")
    def test_the_server_makes_no_call_that_the_unit_forbids(self):
        groups, name = {}, ""
        for line in run("systemd-analyze", "syscall-filter").stdout.splitlines():
            if line.startswith("@"):
                name = line.strip()
                groups[name] = set()
            elif line.strip() and not line.strip().startswith("#"):
                groups[name].add(line.strip())

        def calls(group):
            return {call for each in groups[group]
                    for call in (calls(each) if each.startswith("@") else {each})}

        allowed = calls("@system-service") - calls("@privileged")
        self.assertIn("openat", allowed)
        with tempfile.TemporaryDirectory() as folder:
            trace = os.path.join(folder, "trace")
            with harness.Served(environment={"NOTIFY_SOCKET": os.path.join(folder, "nobody")}) as server:
                strace = subprocess.Popen(["strace", "-f", "-qq", "-o", trace, "-p",
                                           str(server.process.pid)], stderr=subprocess.PIPE)
                if not self.attached(server, trace):
                    self.skipTest("SKIPPED: strace may not attach here")
                self.assertEqual(server.call("POST", "/infer", harness.infer_body())[0], 200)
                self.assertEqual(server.call("GET", "/metrics")[0], 200)
                server.process.send_signal(signal.SIGHUP)
                harness.wait_for("the reload", lambda: '"event":"reloaded"' in server.log())
                self.assertEqual(server.stop(), 0)
                strace.communicate(timeout=20)
            with open(trace) as text:
                made = set(re.findall(r"^\d+ +(\w+)\(", text.read(), re.M))
        self.assertTrue({"accept", "accept4"} & made, made)
        self.assertFalse(made - allowed)

    @staticmethod
    def attached(server, trace):
        for _ in range(50):
            server.call("GET", "/livez")
            if os.path.exists(trace) and os.path.getsize(trace) > 0:
                return True
            time.sleep(0.05)
        return False


class Containers(unittest.TestCase):
    """Nothing is built here; what can be read without a container engine is."""

    def test_the_image_holds_the_libraries_the_command_needs(self):
        text = (harness.OPS / "Dockerfile").read_text()
        done = run("ldd", harness.COMMAND)
        # /lib is a link to /usr/lib; dpkg knows each library by one of its two names.
        found = [re.sub("^/usr", "", path) for path in re.findall(r"=> (\S+)", done.stdout)]
        wanted = found + ["/usr" + path for path in found]
        owners = {line.split(":")[0] for line in run("dpkg-query", "-S", *wanted).stdout.splitlines()}
        self.assertGreater(len(owners), 8)
        of_the_base_image = {"libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libbz2-1.0"}
        for owner in sorted(owners - of_the_base_image):
            self.assertRegex(text, rf"(?<=\s){re.escape(owner)}(?=\s)")

    def test_copied_paths_exist(self):
        for line in (harness.OPS / "Dockerfile").read_text().splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                for path in line.split()[1:-1]:
                    self.assertTrue((harness.SOURCE / path).exists(), line)
        compose = (harness.OPS / "compose.yaml").read_text()
        for path in re.findall(r"- (\./[^:]+):", compose):
            self.assertTrue((harness.OPS / path).exists(), path)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
