#!/usr/bin/env python3
"""The server is killed (kill -9) while clients stream: no window of an acknowledged sample stays unanswered."""
import sys
import unittest

import restarts


class Restart(unittest.TestCase):
    def test_clients_that_send_the_unanswered_again_lose_nothing(self):
        result = restarts.run(cycles=2, sessions=3, seconds_between=1.6)
        self.assertGreater(result["windows"], 20, result)
        self.assertEqual((result["lost"], result["different"], result["answered_twice_differently"]), (0, 0, 0), result)
        self.assertGreaterEqual(result["sessions_opened"], 9, result)  # three, and again after each kill


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
