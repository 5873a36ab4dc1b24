#!/usr/bin/env python3
"""Clients from outside this project: NVIDIA's tritonclient[http], and schemathesis against /openapi.yaml.

Both come from PyPI; tools/python-tools makes the environment that ctest runs this in.
"""
import importlib.util
import json
import subprocess
import sys
import tempfile
import unittest

import harness

for package in ("numpy", "tritonclient", "geventhttpclient", "schemathesis"):
    if importlib.util.find_spec(package) is None:
        print(f"SKIPPED: {sys.executable} has no {package}; make setup-tests installs it")
        sys.exit(harness.SKIPPED)

import numpy as np  # noqa: E402
import tritonclient.http as triton  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


class Triton(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.Served()
        cls.client = triton.InferenceServerClient(f"127.0.0.1:{cls.server.port}")

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.__exit__()

    def input(self, windows, binary):
        tensor = triton.InferInput(self.name(), list(windows.shape), "FP32")
        tensor.set_data_from_numpy(windows, binary_data=binary)
        return tensor

    def name(self):
        return self.client.get_model_metadata("fsq")["inputs"][0]["name"]

    @staticmethod
    def windows(count):
        rows = np.array([harness.window(phase) for phase in range(count)], np.float32)
        return np.ascontiguousarray(rows.transpose(0, 3, 2, 1))  # [N, channel, sensor, time]

    def test_health_and_metadata(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("fsq"))
        self.assertTrue(self.client.is_model_ready("fsq", "1"))
        self.assertFalse(self.client.is_model_ready("other"))
        self.assertEqual(self.client.get_server_metadata()["extensions"],
                         ["binary_tensor_data", "model_repository", "sequence", "statistics"])
        metadata = self.client.get_model_metadata("fsq")
        self.assertEqual(metadata["inputs"][0]["shape"], [-1, 9, 2, 100])
        self.assertEqual(metadata["versions"], ["1"])

    def test_json_and_binary_tensors_are_answered_the_same(self):
        windows = self.windows(3)
        answers = []
        for sent in (False, True):
            for received in (False, True):
                wanted = [triton.InferRequestedOutput(name, binary_data=received)
                          for name in ("probabilities", "class")]
                answer = self.client.infer("fsq", [self.input(windows, sent)], outputs=wanted, request_id="r7")
                self.assertEqual(answer.get_response()["id"], "r7")
                answers.append((answer.as_numpy("probabilities"), answer.as_numpy("class")))
        for probabilities, classes in answers:
            self.assertEqual(probabilities.shape[0], 3)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
            np.testing.assert_array_equal(probabilities, answers[0][0])
            np.testing.assert_array_equal(classes, answers[0][1])
            np.testing.assert_array_equal(classes, probabilities.argmax(axis=1))
        # The same as the sidecar's route says, which shares no parser with this one.
        status, _, text = self.server.call("POST", "/infer", harness.infer_body(1))
        self.assertEqual(json.loads(text)["class"], answers[0][1][1])

    def test_compressed_requests_are_refused_and_say_so(self):
        with self.assertRaises(InferenceServerException):
            self.client.infer("fsq", [self.input(self.windows(1), True)], request_compression_algorithm="gzip")

    def test_a_sequence(self):
        windows = self.windows(3)
        for number in range(3):
            answer = self.client.infer("fsq", [self.input(windows[number:number + 1], True)], sequence_id=41,
                                       sequence_start=number == 0, sequence_end=number == 2)
            self.assertGreaterEqual(answer.as_numpy("state_windows")[0], 1)
            self.assertLessEqual(answer.as_numpy("state_windows")[0], number + 1)
        with self.assertRaisesRegex(InferenceServerException, "was not begun"):
            self.client.infer("fsq", [self.input(windows[:1], True)], sequence_id=41)

    def test_statistics(self):
        before = self.client.get_inference_statistics("fsq")["model_stats"][0]
        self.client.infer("fsq", [self.input(self.windows(5), True)])
        with self.assertRaises(InferenceServerException):
            self.client.infer("fsq", [self.input(self.windows(5)[:, :8], True)])
        for path in (("fsq", "1"), ("fsq",), ()):
            after = self.client.get_inference_statistics(*path)["model_stats"][0]
            self.assertEqual(after["inference_count"] - before["inference_count"], 5)
            self.assertGreater(after["last_inference"], 1.6e12)
            for part, counts in (("success", 1), ("fail", 1), ("queue", 1), ("compute_input", 1),
                                 ("compute_infer", 1), ("compute_output", 1), ("cache_hit", 0)):
                tally, earlier = after["inference_stats"][part], before["inference_stats"][part]
                self.assertEqual(tally["count"] - earlier["count"], counts, part)
            parts = sum(after["inference_stats"][part]["ns"] for part in
                        ("queue", "compute_input", "compute_infer", "compute_output"))
            self.assertLessEqual(parts, after["inference_stats"]["success"]["ns"])
            self.assertGreater(after["inference_stats"]["compute_infer"]["ns"], 0)
        with self.assertRaisesRegex(InferenceServerException, "no model 'other'"):
            self.client.get_inference_statistics("other")

    def test_the_repository(self):
        self.assertEqual([(model["name"], model["state"]) for model in self.client.get_model_repository_index()],
                         [("fsq", "READY")])
        self.client.unload_model("fsq")
        self.assertFalse(self.client.is_model_ready("fsq"))
        self.assertFalse(self.client.is_server_ready())
        with self.assertRaisesRegex(InferenceServerException, "is loaded"):
            self.client.get_model_metadata("fsq")
        self.client.load_model("fsq")
        self.assertTrue(self.client.is_model_ready("fsq"))
        with self.assertRaisesRegex(InferenceServerException, "is configured"):
            self.client.load_model("other")

    def test_errors_are_the_protocols(self):
        with self.assertRaisesRegex(InferenceServerException, "expected FP32"):
            self.client.infer("fsq", [self.input(self.windows(1)[:, :8], False)])
        with self.assertRaisesRegex(InferenceServerException, "model lacks"):
            self.client.infer("fsq", [self.input(self.windows(1), True)],
                              outputs=[triton.InferRequestedOutput("nothing")])


class Schemathesis(unittest.TestCase):
    def test_every_answer_is_as_described(self):
        with harness.Served() as server, tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-m", "schemathesis.cli", "run",
                 f"http://127.0.0.1:{server.port}/openapi.yaml", "--checks", CHECKS, "--phases",
                 "examples,coverage,fuzzing", "--max-examples", "4", "--seed", "1", "--exclude-operation-id", "oipUnload", "--exclude-operation-id", "oipLoad",
                 "--generation-database", "none", "--no-color", "--request-timeout", "10"],
                capture_output=True, text=True, cwd=folder, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])
            self.assertEqual(server.call("GET", "/readyz")[0], 200)
            self.assertEqual(server.call("POST", "/infer", harness.infer_body())[0], 200)


if __name__ == "__main__":
    unittest.main(verbosity=1)
