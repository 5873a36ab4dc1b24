#!/usr/bin/env python3
"""Bad input, row by row, over real sockets: 4xx with a code for machines and a sentence, and the server goes on."""
import hashlib
import json
import socket
import struct
import tempfile
import threading
import time
import unittest

import harness
from sessions_test import WebSocket, samples

START, STREAM = "/api/v1/analysis/start", "/api/v1/analysis/stream"


def exchange(port, *parts, shut=False):
    """Sends the parts as they are; gives all bytes that come back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        got = b""
        try:
            for part in parts:
                connection.sendall(part)
            if shut:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        while part := connection.recv(65536):
            got += part
        return got


def request(method, path, body=b"", *headers):
    head = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def oip_body(server, **changes):
    tensor = {"name": json.loads(server.call("GET", "/v2/models/fsq")[2])["inputs"][0]["name"],
              "datatype": "FP32", "shape": [1, 9, 2, 100], "data": [0.5] * 1800, **changes}
    return json.dumps({"inputs": [tensor]})


class Bodies(unittest.TestCase):
    """What is well-formed HTTP and no good request."""

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Served()
        _, _, text = cls.server.call("POST", START)
        cls.session = json.loads(text)["sessionId"]

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def refused(self, method, path, body, statuses):
        status, headers, text = self.server.call(method, path, body)
        self.assertIn(status, statuses, (path, text))
        answer = json.loads(text)
        # The protocol's form, problem details, the sidecar's form.
        code = answer.get("code") or answer.get("title") or answer["error"]
        self.assertRegex(code, "^[a-z_]+$", text)
        sentence = answer.get("detail", answer.get("error"))
        self.assertIn(" ", sentence)
        return code, sentence

    def bodies(self, make_bad):
        """The same defect in each route that takes a body."""
        oip = oip_body(self.server)
        stream = json.dumps({"sessionId": self.session, "samples": samples(2)})
        for method, path, good in (("POST", "/infer", harness.infer_body()), ("PUT", STREAM, stream),
                                   ("POST", "/v2/models/fsq/infer", oip)):
            yield method, path, make_bad(good)

    def test_malformed_json(self):
        for make in (lambda good: good[:-1], lambda good: "[" * 5000, lambda good: "nul",
                     lambda good: good + "}", lambda good: '"' + "a" * 9000, lambda good: "[]"):
            for row in self.bodies(make):
                self.refused(*row, (400,))

    def test_invalid_utf8(self):
        for row in self.bodies(lambda good: good.encode()[:-1] + b',"note":"\xff\xc0\x80"}'):
            self.refused(*row, (400,))

    def test_nan_and_infinity(self):
        for word in ("NaN", "Infinity", "-Infinity", "1e999", "1e39"):
            for row in self.bodies(lambda good: good.replace("0.5", word).replace("0.1,", word + ",", 1)):
                self.refused(*row, (400,))
        name = json.loads(oip_body(self.server))["inputs"][0]["name"]
        for value in (float("nan"), float("inf")):
            head = json.dumps({"inputs": [{"name": name, "datatype": "FP32", "shape": [1, 9, 2, 100],
                                           "parameters": {"binary_data_size": 7200}}]}).encode()
            values = struct.pack("<1800f", *([0.0] * 1799 + [value]))
            got = exchange(self.server.port, request(
                "POST", "/v2/models/fsq/infer", head + values, "Connection: close",
                f"Inference-Header-Content-Length: {len(head)}"))
            self.assertIn(b" 400 ", got[:20])
            self.assertIn(b"NaN or an infinity", got)

    def test_wrong_shapes(self):
        for shape in ([9, 2, 99], [1, 2, 9, 100], [], [-1, 9, 2, 100], [2 ** 62, 9, 2, 100], [0, 9, 2, 100]):
            self.refused("POST", "/v2/models/fsq/infer", oip_body(self.server, shape=shape), (400,))
        self.refused("POST", "/v2/models/fsq/infer", oip_body(self.server, datatype="INT64"), (400,))
        self.refused("POST", "/v2/models/fsq/infer", oip_body(self.server, data=[0.5]), (400,))
        rows = harness.window()
        for x in (rows[:-1], rows + rows, [[row[0][:8]] for row in rows], []):
            self.refused("POST", "/infer", json.dumps({"x": x}), (400, 422))

    def test_sensors_out_of_range(self):
        rows = harness.window()
        rows[7][1][2] = 501.0
        code, sentence = self.refused("POST", "/infer", json.dumps({"x": rows}), (422,))
        self.assertIn("501", sentence)
        far = samples(2)
        far[1]["gx"] = -36
        code, sentence = self.refused("PUT", STREAM, json.dumps({"sessionId": self.session, "samples": far}),
                                      (422,))
        self.assertEqual(code, "out_of_range")

    def test_unknown_sessions(self):
        for name in ("nobody", "", "00000000-0000-4000-8000-000000000000", "%00", "a" * 4000):
            for route in ("motifs", "synchrony", "behavioral"):
                self.refused("GET", f"/api/v1/analysis/{route}?sessionId={name}", None, (400, 404))
        self.refused("PUT", STREAM, json.dumps({"sessionId": "nobody", "samples": []}), (400,))
        self.refused("POST", "/api/v1/analysis/stop", json.dumps({"sessionId": "nobody"}), (404,))

    def test_a_clock_that_jumps_begins_the_session_anew(self):
        name = json.loads(self.server.call("POST", START)[2])["sessionId"]

        def send(seconds):
            moved = [{**each, "t": each["t"] + seconds} for each in samples(160)]
            status, _, text = self.server.call("PUT", STREAM, json.dumps({"sessionId": name, "samples": moved}))
            self.assertEqual(status, 202, text)

        def view():
            return json.loads(self.server.call("GET", f"/api/v1/sessions/{name}")[2])

        # Of 1.6 s two windows; backwards half a second is needed to notice, so one.
        for seconds, windows in ((0, 2), (86400, 4), (-86400, 5)):
            send(seconds)
            harness.wait_for("its windows", lambda: view()["windows_answered"] == windows)
        self.assertGreater(view()["samples"]["clock_jump"], 0)

    def test_errors_have_the_form_of_their_protocol(self):
        for method, path in (("GET", "/v2/nothing"), ("DELETE", "/v2/models/fsq"), ("GET", "/v2/models/other"),
                             ("GET", "/v2/models/other/stats"), ("GET", "/v2/models/fsq/versions/9/stats")):
            status, _, text = self.server.call(method, path)
            self.assertIn(status, (404, 405))
            self.assertIn(" ", json.loads(text)["error"], path)
        status, headers, text = self.server.call("GET", "/nothing")
        self.assertEqual(headers["Content-Type"], "application/problem+json")
        self.assertEqual(json.loads(text)["status"], 404)
        status, headers, text = self.server.call("GET", "/ws/v1/analysis")
        self.assertEqual((status, headers["Upgrade"]), (426, "websocket"))


class Sockets(unittest.TestCase):
    """What is wrong below HTTP."""

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Served()
        cls.port = cls.server.port

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def tearDown(self):
        self.assertEqual(self.server.call("POST", "/infer", harness.infer_body())[0], 200)

    def test_garbage_behind_a_good_request_does_not_cost_its_answer(self):
        good = request("POST", "/infer", harness.infer_body().encode())
        for garbage in (b"\x00\xff" * 300, b"GET\r\n\r\n", b"POST /infer HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
            got = exchange(self.port, good + garbage)
            self.assertEqual(got.count(b"HTTP/1.1 200 "), 1, got[:200])
            self.assertEqual(got.count(b"HTTP/1.1 400 "), 1, got[-400:])
            self.assertIn(b'"malformed"', got)

    def test_a_client_that_has_closed_its_side_is_still_answered(self):
        body = harness.infer_body().encode()
        got = exchange(self.port, request("POST", "/infer", body), shut=True)
        self.assertIn(b" 200 ", got[:20])
        self.assertIn(b'"motif_scores"', got)
        # One that closes in the middle of a body gets no answer and costs nothing.
        self.assertNotIn(b" 200 ", exchange(self.port, request("POST", "/infer", body)[:-9], shut=True))

    def test_an_oversized_body_gets_its_answer_while_it_is_still_being_sent(self):
        head = b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n"
        self.assertIn(b" 413 ", exchange(self.port, head, b"x" * 20_000_000)[:20])
        for path, form in (("infer", b'"model_available":true'), ("v2/models/fsq/infer", b'"code":"malformed"'),
                           ("api/v1/analysis/stream", b'"type":"urn:')):
            got = exchange(self.port, f"PUT /{path} HTTP/1.1\r\nContent-Length: 20000000\r\n\r\n".encode())
            self.assertIn(b" 413 ", got[:20])
            self.assertIn(form, got)
            self.assertIn(b"body has more than 8388608 bytes", got)
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        head = b"POST /infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertIn(b" 413 ", exchange(self.port, head, chunk * 200)[:20])

    def test_an_oversized_stream_request(self):
        name = json.loads(self.server.call("POST", START)[2])["sessionId"]
        body = json.dumps({"sessionId": name, "samples": samples(2100)})
        status, _, text = self.server.call("PUT", STREAM, body)
        self.assertEqual((status, json.loads(text)["title"]), (413, "too_many_samples"))
        status, _, text = self.server.call("PUT", STREAM, body + " " * (2 << 20))
        self.assertEqual((status, json.loads(text)["title"]), (413, "too_large"))

    def test_an_oversized_web_socket_message_closes_with_1009(self):
        with WebSocket(self.port) as client:
            try:
                client.send(b"x" * ((1 << 20) + 1))
                self.assertEqual(client.close_code(), 1009)
            except ConnectionError:
                pass  # reset while it was still sending
        with WebSocket(self.port) as client:  # a size of eight bytes that no message has
            client.socket.sendall(bytes([0x81, 0xFF]) + b"\xff" * 8 + b"abcd")
            self.assertIn(client.close_code(), (1002, 1009))

    def test_web_socket_messages_that_are_none(self):
        with WebSocket(self.port) as client:
            for text in (b"{", b"[]", b'{"type":7}', b'{"type":"dance"}', b"[" * 3000, b'{"type":"samples"}',
                         b'{"type":"subscribe","session_id":"nobody"}'):
                client.send(text)
                self.assertIn(client.until("error")["status"], (400, 404), text)
            client.send(b"GRS1" + b"\xff" * 60, opcode=2)
            self.assertEqual(client.until("error")["status"], 400)
            client.say(type="ping")
            client.until("pong")
        with WebSocket(self.port) as client:  # without a mask
            client.socket.sendall(b'\x81\x02{}')
            self.assertEqual(client.close_code(), 1002)

    def test_header_bombs(self):
        for bomb in (b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 100000, b"GET /" + b"a" * 1000000,
                     b"GET /livez HTTP/1.1\r\nA: " + b"b" * 1000000):
            got = exchange(self.port, bomb)
            self.assertRegex(got[:20], rb" 4(00|31) ")
            self.assertIn(b'"detail":"the request', got)

    def test_a_hundred_slow_clients_do_not_hold_up_others(self):
        slow = [socket.create_connection(("127.0.0.1", self.port), timeout=20) for _ in range(100)]
        try:
            for connection in slow:
                connection.sendall(b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{")
            begun = time.monotonic()
            self.assertEqual(self.server.call("POST", "/infer", harness.infer_body())[0], 200)
            self.assertLess(time.monotonic() - begun, 10)  # before the slow ones' deadline of 15 s
        finally:
            for connection in slow:
                connection.close()


class Limits(unittest.TestCase):
    def test_too_many_sessions_and_their_return(self):
        with harness.Served("--sessions", "3") as server:
            names = [json.loads(server.call("POST", START)[2])["sessionId"] for _ in range(3)]
            status, headers, text = server.call("POST", START)
            self.assertEqual((status, json.loads(text)["title"]), (503, "too_many_sessions"))
            self.assertGreater(int(headers["Retry-After"]), 0)
            server.call("POST", "/api/v1/analysis/stop", json.dumps({"sessionId": names[0]}))
            self.assertEqual(server.call("POST", START)[0], 200)

    def test_a_session_that_sends_too_fast_waits_and_no_other_one_does(self):
        with harness.Served("--session-speed", "2") as server:
            fast, other = (json.loads(server.call("POST", START)[2])["sessionId"] for _ in range(2))

            def send(name, first, count):
                moved = [{**each, "t": each["t"] + first / 100} for each in samples(count)]
                return server.call("PUT", STREAM, json.dumps({"sessionId": name, "samples": moved}))

            self.assertEqual(send(fast, 0, 1900)[0], 202)  # of the 20 s that it may send at once
            status, headers, text = send(fast, 1900, 1900)
            self.assertEqual((status, json.loads(text)["title"]), (429, "session_rate"))
            self.assertIn(int(headers["Retry-After"]), range(1, 11))
            self.assertEqual(send(other, 0, 1900)[0], 202)
            _, _, metrics = server.call("GET", "/metrics")
            self.assertIn('graupel_refused_total{reason="session_rate"} 1', metrics)

    def test_a_full_queue_and_a_late_window_say_when_to_come_back(self):
        with harness.Served("--queue", "1", "--deadline-ms", "1") as server:
            big = oip_body(server, shape=[256, 9, 2, 100], data=[0.5] * 460800)
            answers = []

            def ask():
                answers.append(server.call("POST", "/v2/models/fsq/infer", big))

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertTrue(all(status in (200, 503) for status, _, _ in answers))
            refused = [(headers, json.loads(text)) for status, headers, text in answers if status == 503]
            self.assertTrue(refused)
            for headers, answer in refused:
                self.assertEqual(headers["Retry-After"], "1")
                self.assertIn(answer["code"], ("queue_full", "deadline"))
            _, _, text = server.call("GET", "/v2/models/fsq/stats")
            stats = json.loads(text)["model_stats"][0]["inference_stats"]
            self.assertEqual(stats["fail"]["count"], len(refused))
            self.assertEqual(stats["success"]["count"], 8 - len(refused))


    def test_a_request_has_a_timeout_of_its_own(self):
        with harness.Served() as server:
            body = json.loads(oip_body(server))
            for timeout, status in ((0, 503), (20_000_000, 200)):  # microseconds
                found, headers, text = server.call("POST", "/v2/models/fsq/infer",
                                                   json.dumps({**body, "parameters": {"timeout": timeout}}))
                self.assertEqual(found, status, text)
            self.assertIsNone(headers["Retry-After"])

    def test_too_many_sequences(self):
        with harness.Served("--sessions", "2") as server:
            body = json.loads(oip_body(server))
            for number, status in ((1, 200), (2, 200), (3, 503)):
                parameters = {"sequence_id": number, "sequence_start": True}
                found, headers, text = server.call("POST", "/v2/models/fsq/infer",
                                                   json.dumps({**body, "parameters": parameters}))
                self.assertEqual(found, status, text)
            self.assertEqual(json.loads(text)["code"], "too_many_sequences")
            self.assertEqual(headers["Retry-After"], "30")


class Owners(unittest.TestCase):
    def test_a_session_is_there_for_its_own_key_and_for_admins_only(self):
        keys = {"ann": "stream", "bob": "stream", "eve": "read", "root": "admin"}
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as file:
            file.write("".join(f"{name} {role} {hashlib.sha256(name.encode()).hexdigest()}\n"
                               for name, role in keys.items()))
            file.flush()
            with harness.Served("--keys", file.name) as server:
                def call(who, method, path, body=None):
                    text = None if body is None else json.dumps(body)
                    return server.call(method, path, text, {"X-API-Key": who})

                name = json.loads(call("ann", "POST", START)[2])["sessionId"]
                body = {"sessionId": name, "samples": samples(150)}
                self.assertEqual(call("ann", "PUT", STREAM, body)[0], 202)
                reads = [f"/api/v1/analysis/{route}?sessionId={name}"
                         for route in ("motifs", "synchrony", "behavioral")] + [f"/api/v1/sessions/{name}"]
                for path in reads:
                    for who in ("bob", "eve"):
                        status, _, text = call(who, "GET", path)
                        self.assertEqual(status, 404, path)
                    for who in ("ann", "root"):
                        self.assertEqual(call(who, "GET", path)[0], 200, path)
                for who in ("bob", "eve"):
                    self.assertNotIn(name, call(who, "GET", "/api/v1/sessions")[2])
                    self.assertNotIn(name, call(who, "GET", "/api/v1/status")[2])
                self.assertIn(name, call("root", "GET", "/api/v1/sessions")[2])
                self.assertEqual(call("bob", "PUT", STREAM, body)[0], 400)
                self.assertEqual(call("root", "PUT", STREAM, body)[0], 400)  # sees, does not feed
                self.assertEqual(call("bob", "POST", "/api/v1/analysis/stop", {"sessionId": name})[0], 404)
                for who, kind in (("bob", "error"), ("eve", "error"), ("ann", "subscribed"), ("root", "subscribed")):
                    with WebSocket(server.port) as client:
                        client.say(type="subscribe", session_id=name, auth_token=who)
                        client.until(kind)
                with WebSocket(server.port) as client:  # no key, no news
                    client.say(type="subscribe", session_id=name)
                    self.assertEqual(client.until("error")["status"], 401)


if __name__ == "__main__":
    unittest.main(verbosity=1)
