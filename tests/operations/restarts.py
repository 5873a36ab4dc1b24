"""kill -9 under load: what clients that keep a window's samples lose. Used by restart_test.py and the benchmark.

A client streams in real time, keeps the samples that no answered window needs any more out, and after a
restart opens a new session and sends the rest again. Windows of all its sessions together have to be those of a
session that was never interrupted, each with the same class and probabilities.
"""
import http.client
import json
import math
import os
import signal
import threading
import time

import harness

RATE_HZ, WINDOW, HOP, FRAME = 100, 100, 50, 20


def sample(index, sensor, client):
    t = index / RATE_HZ
    wave = math.sin(2 * math.pi * (0.6 + 0.5 * ((index // 300 + client) % 4)) * t + sensor)
    return {"t": t, "sensor": sensor, "ax": 9.2 + 2 * wave, "ay": -0.7 + wave, "az": 2.2 - wave, "gx": 0.5 * wave,
            "gy": wave, "gz": -0.3 * wave, "mx": -0.6, "my": -0.7 + 0.1 * wave, "mz": 0.25}


def frame(begin, end, client):
    return [sample(index, sensor, client) for index in range(begin, end) for sensor in (0, 1)]


class Client:
    """One recording, streamed by HTTP; `answered` maps the end of a window, in samples, to its answer."""

    def __init__(self, port, number):
        self.port, self.number = port, number
        self.session, self.answered, self.sent, self.acknowledged = None, {}, 0, 0
        self.sessions, self.twice = 0, 0

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def step(self, until):
        """Sends samples up to `until` and takes what was answered; false if the server is not there."""
        try:
            if self.session is None:
                status, body = self.call("POST", "/api/v1/analysis/start")
                if status != 200:
                    return False
                self.session, self.sessions = body["sessionId"], self.sessions + 1
                # From the first sample of the first window without an answer.
                self.sent = max(self.answered, default=WINDOW - HOP) + HOP - WINDOW
            while self.sent < until:
                end = min(self.sent + 10 * FRAME, until)
                status, _ = self.call("PUT", "/api/v1/analysis/stream",
                                      {"sessionId": self.session, "samples": frame(self.sent, end, self.number)})
                if status == 503:
                    return True
                if status != 202:
                    self.session = None
                    return False
                self.sent, self.acknowledged = end, max(end, self.acknowledged)
            return self.take()
        except (OSError, http.client.HTTPException, ValueError):
            self.session = None
            return False

    def take(self):
        status, body = self.call("GET", f"/api/v1/sessions/{self.session}?windows=100&signal_ms=0")
        if status != 200:
            self.session = None
            return False
        for window in body["windows"]:
            end = round(window["end_ms"] / 1000 * RATE_HZ)
            answer = (window["class"], window["probabilities"])
            if end in self.answered and self.answered[end] != answer:
                self.twice += 1
            self.answered[end] = answer
        return True


def expected_ends(samples):
    return list(range(WINDOW, samples + 1, HOP))


def stream(client, stop, start):
    while not stop.is_set():
        due = int((time.monotonic() - start) * RATE_HZ) // FRAME * FRAME
        client.step(due)
        stop.wait(FRAME / RATE_HZ)
    due = client.acknowledged
    harness.wait_for("the last windows", lambda: client.step(due) and
                     len(client.answered) >= len(expected_ends(due)), 30)


def uninterrupted(port, client):
    other = Client(port, client.number)
    for begin in range(0, client.acknowledged, 1000):
        until = min(begin + 1000, client.acknowledged)
        harness.wait_for("an answer", lambda: other.step(until) and
                         len(other.answered) >= len(expected_ends(until)), 30)
    return other.answered


def make_load(port, stop, counts):
    body = harness.infer_body()
    while not stop.is_set():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            while not stop.is_set():
                connection.request("POST", "/infer", body)
                answer = connection.getresponse()
                answer.read()
                counts[answer.status] = counts.get(answer.status, 0) + 1
        except (OSError, http.client.HTTPException):
            counts["not there"] = counts.get("not there", 0) + 1
            time.sleep(0.02)


def run(cycles, sessions, seconds_between, load=False):
    """Kills the server `cycles` times; gives counts, all of which but `windows` and so on have to be 0."""
    port, stop, counts = harness.free_port(), threading.Event(), {}
    server = harness.Served("-q", port=port)
    clients = [Client(port, number) for number in range(sessions)]
    start = time.monotonic()
    threads = [threading.Thread(target=stream, args=(client, stop, start), daemon=True) for client in clients]
    threads += [threading.Thread(target=make_load, args=(port, stop, counts), daemon=True)] if load else []
    down = []
    try:
        for thread in threads:
            thread.start()
        for _ in range(cycles):
            time.sleep(seconds_between)
            begun = time.monotonic()
            server.stop(signal.SIGKILL)
            server = harness.Served("-q", port=port)
            down.append(time.monotonic() - begun)
        time.sleep(seconds_between)
        stop.set()
        for thread in threads:
            thread.join(timeout=60)
        lost = wrong = windows = 0
        for client in clients:
            reference = uninterrupted(port, client)
            for end in expected_ends(client.acknowledged):
                windows += 1
                lost += end not in client.answered
                wrong += end in client.answered and client.answered[end] != reference[end]
    finally:
        stop.set()
        server.stop(signal.SIGKILL)
    return {"cycles": cycles, "sessions": sessions, "windows": windows, "lost": lost, "different": wrong,
            "answered_twice_differently": sum(client.twice for client in clients),
            "sessions_opened": sum(client.sessions for client in clients),
            "down_ms": round(1e3 * sum(down) / len(down)), "other_requests": counts}
