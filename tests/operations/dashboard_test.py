#!/usr/bin/env python3
"""The dashboard in a real Chromium: it loads, lives, survives a restart, and shows what the server says.

GRAUPEL_SCREENSHOTS=FOLDER keeps pictures: light, dark, phone.
"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

import harness

harness.need("chromium")
import browser  # noqa: E402

LABEL = "document.getElementById('label').textContent"
WINDOWS = "Number((document.querySelector('#sessions small')?.textContent || '').split(' · ')[2]?.split(' ')[0] || 0)"
INK = """(() => { const c = document.getElementById('%s');
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n / (d.length / 4); })()"""


def test_windows(count):
    """The first windows of the example's test set, as the bytes of an npy file and their classes by `run`."""
    with zipfile.ZipFile(harness.SOURCE / "models/fsq_imu.test.npz") as archive:
        data = archive.read("x.npy")
    header = 10 + struct.unpack("<H", data[8:10])[0]
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, 9, 2, 100), }}".ljust(117) + "\n"
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
            + data[header:header + count * 1800 * 4])


class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def open(self, server, **size):
        page = browser.Page(self.browser, f"http://127.0.0.1:{server.port}/", **size)
        page.wait("document.getElementById('connection')?.dataset.state === 'open'")
        return page

    def keep(self, page, name):
        folder = os.environ.get("GRAUPEL_SCREENSHOTS")
        if folder:
            time.sleep(0.5)
            page.picture(os.path.join(folder, f"dashboard_{name}.png"))

    def test_it_loads_lives_and_survives_a_restart(self):
        port = harness.free_port()
        with harness.Served(port=port) as server:
            page = self.open(server)
            self.assertEqual(page.value("document.getElementById('no-sessions').hidden"), False)
            page.wait("document.querySelector('#engines td')?.textContent === 'fsq 1'")
            page.value("document.getElementById('simulate').focus()")
            page.key("Enter", 13, "\r")
            page.wait(f"{LABEL} !== '–'")
            page.wait(f"{WINDOWS} >= 4")
            # What stands there is what the server says, and lies in its list of labels.
            session = page.value("document.querySelector('#sessions button').dataset.session")
            told = json.loads(server.call("GET", f"/api/v1/sessions/{session}?windows=500")[2])
            self.assertIn(page.value(LABEL), told["labels"])
            before = page.value(WINDOWS)
            page.wait(f"{WINDOWS} >= {before + 3}")
            for canvas in ("ribbon", "probabilities", "codes", "signal0", "signal1", "latency"):
                self.assertGreater(page.value(INK % canvas), 0.003, canvas)
            self.assertRegex(page.value("document.getElementById('quantiles').textContent"), r"p50 ≤ .* of \d+")
            self.assertRegex(page.value("document.getElementById('set').textContent"), "cannot be excluded")
            self.assertRegex(page.value("document.getElementById('digits').textContent"), r"code \d+")
            self.assertIn("cpu/", page.value("document.getElementById('facts').textContent"))
            self.assertEqual(page.errors(), [])
            self.assertEqual({re.sub("^(http|ws)://([^/]+).*", r"\2", url) for url in page.addresses()},
                             {f"127.0.0.1:{port}"})
            server.stop(9)
            page.wait("document.getElementById('connection').dataset.state !== 'open'")
            with harness.Served(port=port) as again:
                page.wait("document.getElementById('connection').dataset.state === 'open'")
                page.wait(f"document.querySelector('#sessions button')?.dataset.session !== '{session}' && {WINDOWS} >= 3")
                self.assertEqual(json.loads(again.call("GET", "/api/v1/status")[2])["sessions"], 1)
                # A browser itself notes connections that were refused meanwhile; nothing else is there.
                self.assertFalse([error for error in page.errors()
                                  if not re.search("ERR_CONNECTION_(REFUSED|RESET)|WebSocket connection", error)])
                page.value("document.getElementById('simulate').click()")
                page.wait("document.getElementById('simulate').getAttribute('aria-pressed') === 'false'")

                def sessions():
                    return json.loads(again.call("GET", "/api/v1/status")[2])["sessions"]

                harness.wait_for("the session to end", lambda: sessions() == 0)

    def test_a_recording_gets_the_answers_that_run_gives(self):
        count = 12
        with harness.Served() as server, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "walk.npy")
            with open(path, "wb") as file:
                file.write(test_windows(count))
            done = subprocess.run([harness.COMMAND, "run", harness.BUNDLE, path, "--format", "jsonl"],
                                  capture_output=True, text=True, check=True)
            expected = [json.loads(line) for line in done.stdout.splitlines()]
            page = self.open(server)
            page.value("document.getElementById('speed').value = '10'")
            page.choose_file("#file", path)
            page.wait("/all 1200 samples were sent/.test(document.getElementById('try-said').textContent)")
            # The last window ends with the sample after the last; 22 windows end before that.
            page.wait(f"{WINDOWS} >= {2 * count - 2}")
            session = page.value("document.querySelector('#sessions button').dataset.session")
            told = json.loads(server.call("GET", f"/api/v1/sessions/{session}?windows=500")[2])["windows"]
            same = 0
            for window in told:  # every second one is a window of the file
                begins = round((window["end_ms"] - told[0]["end_ms"]) / 10)
                if begins % 100 == 0 and begins // 100 < count:
                    answer = expected[begins // 100]
                    self.assertEqual(window["class"], answer["class"])
                    self.assertEqual(window["fsq_code"], answer["fsq_code"])
                    same += 1
            self.assertGreaterEqual(same, count - 1)
            for name, content, complaint in (("short.csv", "1,2,3\n4,5,6\n", "3 columns"), ("empty.csv", "\n", "is empty"),
                                             ("x.npy", "hello", "is no npy"), ("a.csv", "1,2\n3,x\n", "line 2 is not 2 numbers")):
                path = os.path.join(folder, name)
                with open(path, "w") as file:
                    file.write(content)
                page.choose_file("#file", path)
                page.wait(f"document.getElementById('try-said').textContent.includes('{complaint}')")
                self.assertEqual(page.value("document.getElementById('try-said').className"), "wrong")
            self.assertEqual(page.errors(), [])

    def test_light_dark_phone_and_keyboard(self):
        with harness.Served() as server:
            page = self.open(server)
            page.theme("light")
            page.value("document.getElementById('simulate').click()")
            if os.environ.get("GRAUPEL_SCREENSHOTS"):
                page.value("document.getElementById('speed').value = '10'")
                page.wait(f"{WINDOWS} >= 140", 60)
                page.value("document.getElementById('speed').value = '1'")
            page.wait(f"{WINDOWS} >= 2")
            papers = [page.value("getComputedStyle(document.body).backgroundColor")]
            self.keep(page, "light")
            page.theme("dark")
            page.value("dispatchEvent(new Event('resize'))")
            papers.append(page.value("getComputedStyle(document.body).backgroundColor"))
            self.keep(page, "dark")
            page.value("document.getElementById('theme').click()")
            papers.append(page.value("getComputedStyle(document.body).backgroundColor"))
            self.assertEqual(papers[0], papers[2])
            self.assertNotEqual(papers[0], papers[1])
            reached = []
            page.value("document.activeElement.blur(); window.scrollTo(0, 0)")
            for _ in range(16):
                page.key("Tab", 9)
                reached.append(page.value("document.activeElement.id || document.activeElement.dataset.session || ''"))
            self.assertTrue({"theme", "simulate", "file", "speed", "quantity", "stage"} <= set(reached), reached)
            self.assertTrue(any(len(each) > 30 for each in reached), reached)  # the session's button
            for width in (390, 320):
                page.size(width, 844, phone=True)
                page.wait(f"document.documentElement.clientWidth === {width}")
                # Charts follow the new width a moment later.
                page.wait(f"document.documentElement.scrollWidth <= {width}", 10)
            page.size(390, 844, phone=True)
            self.keep(page, "phone")
            self.assertEqual(page.errors(), [])

    def test_colours_can_be_read(self):
        """WCAG AA: 4.5 to 1 for text, in both themes."""
        css = (harness.SOURCE / "web/page.css").read_text()
        themes = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", block))
                  for block in re.findall(r"\{([^{}]*--paper:[^{}]*)\}", css)]
        self.assertEqual(len(themes), 3)
        self.assertEqual(themes[1], themes[2])

        def light(colour):
            digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
            parts = [int(digits[i:i + 2], 16) / 255 for i in (0, 2, 4)]
            parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

        for theme in themes:
            for ink, paper in (("ink", "card"), ("ink", "paper"), ("quiet", "card"), ("quiet", "paper"),
                               ("accent-ink", "accent"), ("accent", "card"), ("good", "card"), ("warn", "card"),
                               ("bad", "card")):
                a, b = sorted((light(theme[ink]), light(theme[paper])))
                self.assertGreaterEqual((b + 0.05) / (a + 0.05), 4.5, (ink, paper, theme))

    def test_it_asks_for_a_key_and_its_policy_is_strict(self):
        import hashlib
        key = "open-sesame"
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write(f"phone admin {hashlib.sha256(key.encode()).hexdigest()}\n")
            keys.flush()
            with harness.Served("--keys", keys.name) as server:
                _, headers, _ = server.call("GET", "/")
                policy = headers["Content-Security-Policy"]
                self.assertIn("default-src 'none'", policy)
                self.assertNotIn("unsafe", policy)
                self.assertEqual(server.call("GET", "/page/nothing.js")[0], 404)
                page = browser.Page(self.browser, f"http://127.0.0.1:{server.port}/")
                page.wait("document.getElementById('key-form')?.hidden === false")
                page.value(f"document.getElementById('key').value = '{key}';"
                           "document.querySelector('#key-form button').click()")
                page.wait("document.querySelector('#engines td')?.textContent === 'fsq 1'")
                page.value("document.getElementById('simulate').click()")
                page.wait(f"{WINDOWS} >= 1")
                self.assertNotIn(key, server.log())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
