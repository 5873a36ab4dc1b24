#!/usr/bin/env python3
"""Sessions, sequences and WebSocket over real sockets, with a bundle that holds an HSMM."""
import base64
import json
import os
import socket
import struct
import unittest

import harness

NAMES = ("ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz")


def samples(count):
    """`count` instants of both sensors at 100 Hz, in the stream route's form A."""
    rows = [row for phase in range(-(-count // 100)) for row in harness.window(phase)][:count]
    return [{"t": 1000 + i / 100, "sensor": sensor, **dict(zip(NAMES, values))}
            for i, row in enumerate(rows) for sensor, values in enumerate(row)]


class WebSocket:
    """The client's side of RFC 6455, as much as a test needs."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /ws/v1/analysis HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        self.stream = self.socket.makefile("rb")
        self.status = int(self.stream.readline().split()[1])
        while self.stream.readline().strip():
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, data, opcode=1):
        mask = os.urandom(4)
        size = len(data)
        if size < 126:
            length = bytes([0x80 | size])
        else:
            length = bytes([0xFE]) + struct.pack(">H", size) if size < 65536 else bytes([0xFF]) + struct.pack(">Q", size)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def say(self, **message):
        self.send(json.dumps(message).encode())

    def frame(self):
        head = self.stream.read(2)
        size = head[1]
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(self.stream.read(width), "big")
        return head[0] & 15, self.stream.read(size)

    def until(self, kind):
        while True:
            opcode, data = self.frame()
            if opcode == 1 and json.loads(data)["type"] == kind:
                return json.loads(data)

    def close_code(self):
        while True:
            opcode, data = self.frame()
            if opcode == 8:
                return struct.unpack(">H", data[:2])[0]


class Sessions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.Served()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def call(self, method, path, body=None):
        status, _, text = self.server.call(method, path, None if body is None else json.dumps(body))
        return status, json.loads(text)

    def test_a_session_has_a_state_and_its_duration(self):
        _, started = self.call("POST", "/api/v1/analysis/start")
        name = started["sessionId"]
        status, _ = self.call("PUT", "/api/v1/analysis/stream", {"sessionId": name, "samples": samples(400)})
        self.assertEqual(status, 202)
        session = harness.wait_for("windows", lambda: (lambda s: s["windows_answered"] >= 6 and s)(
            self.call("GET", f"/api/v1/sessions/{name}")[1]))
        for window in session["windows"]:
            self.assertGreater(window["hsmm"]["elapsed_ms"], 0)
            self.assertAlmostEqual(sum(window["hsmm"]["probabilities"]), 1, places=3)
        _, motifs = self.call("GET", f"/api/v1/analysis/motifs?sessionId={name}&topK=10")
        self.assertEqual(sum(motif.get("duration_ms", 0) > 0 for motif in motifs["motifs"]), 1)

    def test_a_sequence_has_a_state_and_its_duration(self):
        name = self.call("POST", "/v2/repository/index", {})[1][0]["name"]
        metadata = self.call("GET", f"/v2/models/{name}")[1]["inputs"][0]
        row = harness.window()
        data = [row[t][s][c] for c in range(9) for s in range(2) for t in range(100)]
        for number in range(3):
            status, answer = self.call("POST", f"/v2/models/{name}/infer", {
                "parameters": {"sequence_id": 7, "sequence_start": number == 0,
                               "sequence_end": number == 2},
                "inputs": [{"name": metadata["name"], "datatype": "FP32", "shape": [1, 9, 2, 100],
                            "data": data}]})
            self.assertEqual(status, 200, answer)
            outputs = {output["name"]: output["data"] for output in answer["outputs"]}
            self.assertGreater(outputs["state_probability"][0], 0)
            self.assertLessEqual(outputs["state_windows"][0], number + 1)
            self.assertGreaterEqual(outputs["state_windows"][0], 1)

    def test_a_web_socket_streams_and_gets_updates(self):
        with WebSocket(self.server.port) as client:
            self.assertEqual(client.status, 101)
            client.say(type="start")
            name = client.until("started")["session_id"]
            client.say(type="samples", session_id=name, seq=5, samples=samples(150))
            self.assertEqual(client.until("accepted")["seq"], 5)
            self.assertIn("hsmm", client.until("behavioral_update")["data"]["window"])
            client.say(type="stop", session_id=name)
            client.until("stopped")

    def test_a_web_socket_refuses_invalid_text(self):
        with WebSocket(self.server.port) as client:
            client.send(b'{"type":"\xff\xfe"}')
            self.assertEqual(client.close_code(), 1007)


if __name__ == "__main__":
    unittest.main()
