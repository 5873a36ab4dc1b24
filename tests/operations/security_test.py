#!/usr/bin/env python3
"""Who may listen and who may ask: TLS, client certificates, trace ids, and what the log never holds."""
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

import harness

harness.need("openssl")


def client_context(certificates, who=None, ca="ca"):
    context = ssl.create_default_context(cafile=certificates[ca][0])
    if who is not None:
        context.load_cert_chain(*certificates[who])
    return context


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.certificates = harness.make_certificates(cls.folder.name)
        certificate, key = cls.certificates["server"]
        cls.options = ["--tls-certificate", certificate, "--tls-key", key]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_answers_over_tls_and_only_over_tls(self):
        with harness.Served(*self.options) as server:
            status, _, text = server.call("POST", "/infer", harness.infer_body(),
                                          tls=client_context(self.certificates))
            self.assertEqual(status, 200, text)
            with self.assertRaises(Exception):
                server.call("GET", "/livez")
            # Garbage in place of a handshake, and a handshake that never goes on, harm nobody else.
            with socket.create_connection(("127.0.0.1", server.port)) as garbage, \
                    socket.create_connection(("127.0.0.1", server.port)):
                garbage.sendall(b"\x16\x03\x01\xff\xff" + b"\0" * 100)
                status, _, _ = server.call("GET", "/livez", tls=client_context(self.certificates))
                self.assertEqual(status, 200)

    def test_a_client_that_trusts_another_authority_refuses_the_server(self):
        with harness.Served(*self.options) as server:
            with self.assertRaises(ssl.SSLCertVerificationError):
                server.call("GET", "/livez", tls=client_context(self.certificates, ca="stranger"))

    def test_old_protocols_are_refused(self):
        with harness.Served(*self.options) as server:
            for protocol, taken in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
                done = subprocess.run(
                    ["openssl", "s_client", protocol, "-cipher", "ALL:@SECLEVEL=0", "-connect",
                     f"127.0.0.1:{server.port}", "-CAfile", self.certificates["ca"][0]],
                    input="", capture_output=True, text=True)
                self.assertEqual("Verify return code: 0 (ok)" in done.stdout and done.returncode == 0,
                                 taken, protocol + done.stdout + done.stderr)

    def test_client_certificates(self):
        options = [*self.options, "--tls-client-ca", self.certificates["ca"][0]]
        with harness.Served(*options) as server:
            status, _, _ = server.call("GET", "/livez", tls=client_context(self.certificates, "client"))
            self.assertEqual(status, 200)
            for who in (None, "intruder"):
                with self.assertRaises((ssl.SSLError, ConnectionError), msg=who):
                    server.call("GET", "/livez", tls=client_context(self.certificates, who))

    def test_a_start_with_wrong_files_says_which(self):
        certificate, key = self.certificates["server"]
        other = self.certificates["client"][1]
        for options, named in ((["--tls-certificate", "/nowhere.pem", "--tls-key", key], "/nowhere.pem"),
                               (["--tls-certificate", certificate, "--tls-key", other], other)):
            done = subprocess.run([harness.COMMAND, "serve", harness.BUNDLE, "--port", "0", *options],
                                  capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(named, done.stderr)


class Log(unittest.TestCase):
    def test_a_trace_goes_through_request_log_and_answer(self):
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        with harness.Served() as server:
            sent = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Correlation-ID": "ride-7"}
            _, headers, _ = server.call("POST", "/infer", harness.infer_body(), sent)
            self.assertRegex(headers["traceparent"], f"^00-{trace}-[0-9a-f]{{16}}-01$")
            self.assertNotIn("00f067aa0ba902b7", headers["traceparent"])
            self.assertEqual(headers["X-Correlation-ID"], "ride-7")
            _, headers, _ = server.call("GET", "/livez", headers={"traceparent": "00-garbage"})
            self.assertIsNone(headers["traceparent"])
            self.assertRegex(headers["X-Correlation-ID"], "^[0-9a-f]{32}$")
            # What could break a header or a line of the log is not echoed.
            _, headers, _ = server.call("GET", "/livez", headers={"X-Correlation-ID": 'a"},{"b":1'})
            self.assertRegex(headers["X-Correlation-ID"], "^[0-9a-f]{32}$")
            server.stop()
            lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
            infer = [line for line in lines if line.get("route") == "/infer"]
            self.assertEqual([line["trace_id"] for line in infer], [trace])
            self.assertEqual(infer[0]["request_id"], "ride-7")
            self.assertEqual(infer[0]["status"], 200)
            self.assertGreater(infer[0]["duration_ms"], 0)

    def test_no_sensor_data_no_keys_no_bodies(self):
        key, marked = "open-sesame-317", 317.25
        digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=key, capture_output=True,
                                text=True, check=True).stdout.split()[0]
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write(f"phone admin {digest}\n")
            keys.flush()
            with harness.Served("-v", "--keys", keys.name) as server:
                window = harness.window()
                window[3][1][4] = marked
                bodies = [json.dumps({"x": window}), json.dumps({"x": [[marked]]}), f"{{{marked}",
                          json.dumps({"x": [[[marked] * 9] * 2] * 100}), json.dumps({"id": marked})]
                for body in bodies:
                    for path in ("/infer", "/v2/models/fsq/infer", f"/api/v1/analysis/{marked}",
                                 f"/nowhere?x={marked}"):
                        server.call("POST", path, body, {"Authorization": f"Bearer {key}"})
                        server.call("POST", path, body, {"Authorization": f"Bearer {key}x"})
                        server.call("POST", path, body, {"X-API-Key": f"{key}"})
                _, _, metrics = server.call("GET", "/metrics", headers={"X-API-Key": key})
                server.stop()
                for text in (server.log(), metrics):
                    self.assertNotIn(str(marked), text)
                    self.assertNotIn("sesame", text)
                    self.assertNotIn(digest, text)
                self.assertGreater(len(re.findall('"event":"request"', server.log())), 50)


class Requests(unittest.TestCase):
    def test_it_listens_on_loopback_unless_told_and_warns_when_open(self):
        with harness.Served() as server:
            with self.assertRaises(ConnectionRefusedError):
                server.call("GET", "/livez", host="127.0.0.2")
            self.assertNotIn("without --keys", server.log())
        with harness.Served("--address", "0.0.0.0") as server:
            self.assertEqual(server.call("GET", "/livez", host="127.0.0.2")[0], 200)
            self.assertIn("without --keys", server.log())

    def test_other_pages_may_read_only_if_they_are_named(self):
        named, other = "https://clinic.example", "https://clinic.example.evil"
        with harness.Served("--cors", named) as server:
            for method in ("GET", "OPTIONS"):
                _, headers, _ = server.call(method, "/v2/models/fsq", headers={"Origin": named})
                self.assertEqual(headers["Access-Control-Allow-Origin"], named)
                self.assertEqual(headers["Vary"], "Origin")
                _, headers, _ = server.call(method, "/v2/models/fsq", headers={"Origin": other})
                self.assertIsNone(headers["Access-Control-Allow-Origin"])
                self.assertIsNone(headers["Access-Control-Allow-Credentials"])

    def test_other_pages_get_no_websocket(self):
        with harness.Served() as server:
            own = f"http://127.0.0.1:{server.port}"
            for origin, status in ((own, 101), ("http://evil.example", 403), ("null", 403),
                                   (own + ".evil.example", 403), ("http://127.0.0.1:1", 403)):
                with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
                    connection.sendall((f"GET /ws/v1/analysis HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                                        f"Origin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                        "Sec-WebSocket-Version: 13\r\n"
                                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
                    self.assertIn(f" {status} ".encode(), connection.recv(4096)[:20], origin)

    def test_no_path_of_a_request_reaches_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            models = os.path.join(folder, "models")
            os.mkdir(models)
            shutil.copy(harness.BUNDLE, os.path.join(models, "inside.graupel"))
            shutil.copy(harness.BUNDLE, os.path.join(folder, "outside.graupel"))
            with harness.Served("--models", models, bundles=[]) as server:
                inside = server.call("POST", "/v2/repository/models/inside/load")
                self.assertEqual(inside[0], 200, inside[2])
                for name in ("outside", "../outside", "..%2foutside", "%2e%2e/outside", "..%5coutside",
                             "inside/../../outside", "%2Fetc%2Fpasswd", "inside%00", "....//outside"):
                    for verb in ("load", "unload"):
                        path = f"/v2/repository/models/{name}/{verb}"
                        status, _, text = server.call("POST", path)
                        self.assertIn(status, (400, 404, 405), path + text)
                    status, _, text = server.call("GET", f"/v2/models/{name}")
                    self.assertIn(status, (400, 404), name + text)
                for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
                             "/page.js/../../etc/passwd", "/..;/etc/passwd"):
                    status, _, text = server.call("GET", path)
                    self.assertIn(status, (400, 404), path)
                    self.assertNotIn("root:", text)
                _, _, index = server.call("POST", "/v2/repository/index")
                self.assertEqual([model["name"] for model in json.loads(index)], ["inside"])

    def test_a_key_gets_its_rate_and_no_other_key_pays_for_it(self):
        digest = {key: hashlib.sha256(key.encode()).hexdigest() for key in ("greedy", "modest")}
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write("".join(f"{name} read {digest[name]}\n" for name in digest))
            keys.flush()
            with harness.Served("--keys", keys.name, "--rate", "0.5", "--rate-burst", "3") as server:
                answers = [server.call("GET", "/v2/models/fsq", headers={"X-API-Key": "greedy"})
                           for _ in range(5)]
                self.assertEqual([status for status, _, _ in answers], [200, 200, 200, 429, 429])
                self.assertIn(answers[4][1]["Retry-After"], ("1", "2"))
                self.assertEqual(
                    server.call("GET", "/v2/models/fsq", headers={"X-API-Key": "modest"})[0], 200)
                self.assertEqual(server.call("GET", "/livez")[0], 200)

    def test_connections_are_bounded_and_come_back(self):
        with harness.Served("--connections", "5") as server:
            held = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(5)]
            for connection in held:  # an answer each: all five are in
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b" 200 ", connection.recv(4096))
            with self.assertRaises((ConnectionError, http.client.HTTPException)):
                server.call("GET", "/livez")
            for connection in held:
                connection.close()

            def answers():
                try:
                    return server.call("GET", "/livez")[0] == 200
                except (ConnectionError, http.client.HTTPException):
                    return False

            harness.wait_for("a free place", answers)

    def test_hostile_bytes_get_4xx_or_a_closed_door_and_harm_nobody(self):
        head = b"POST /infer HTTP/1.1\r\nHost: x\r\n"
        deep = b'{"x":' + b"[" * 100000
        rows = [b"\0" * 5000, b"GET /\xff\xfe HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
                head + b"Content-Length: -1\r\n\r\n", head + b"Content-Length: 99999999999\r\n\r\n",
                head + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
                head + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
                head + b"Content-Length: %d\r\n\r\n" % len(deep) + deep,
                head + b'Content-Length: 9\r\n\r\n{"x":NaN}', head + b'Content-Length: 8\r\n\r\n{"x":"\xff"',
                head + b'Content-Length: 11\r\n\r\n{"x":1e999}' + b"GARBAGE" * 50]
        with harness.Served() as server:
            for row in rows:
                with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
                    got = b""
                    try:
                        connection.sendall(row)
                        connection.shutdown(socket.SHUT_WR)
                        while part := connection.recv(65536):
                            got += part
                    except ConnectionError:
                        pass
                    self.assertNotIn(b" 200 ", got, row[:60])
                    self.assertNotIn(b" 500 ", got, row[:60])
            self.assertEqual(server.call("POST", "/infer", harness.infer_body())[0], 200)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
