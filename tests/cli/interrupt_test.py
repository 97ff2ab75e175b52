"""qkjit precompile, interrupted: what is finished stays, and only the rest is compiled later."""

import json
import re
import signal

import qkjit_cli
from qkjit_cli import SPEC, CliTest


class Interrupt(CliTest):
    def test_finished_kernels_stay_and_the_rest_follows(self):
        specs = [SPEC.replace("64", str(dim), 1) for dim in range(64, 64 + 8 * 20, 8)]
        command = ["precompile", "--json", "-j1", "--target", "sm_90", "--spec", *specs, "--out",
                   "out"]
        kernels = len(self.qkjit(*command, "--dry-run").json()["kernels"])
        process = self.start(*command)
        progress = [process.stderr.readline() for _ in range(3)]
        self.assertTrue(all(re.match(rf"\[\d+/{kernels}\] ", line) for line in progress), progress)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("interrupted", err)

        kept = len(self.entries(self.dir / "out"))  # also: no temporary file
        self.assertTrue(3 <= kept < kernels, kept)
        self.assertEqual(json.loads(out)["compiled"], kept)
        document = self.qkjit(*command).json()
        self.assertEqual((document["compiled"], document["hits"]), (kernels - kept, kept))


if __name__ == "__main__":
    qkjit_cli.main()
