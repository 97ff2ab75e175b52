"""qkjit bench without a GPU: the list of cases, its errors, and the host's first call."""

import qkjit_cli
from qkjit_cli import MODELS, SPEC, CliTest


class List(CliTest):
    def cases(self, *arguments):
        document = self.qkjit("bench", "--list", "--json", *arguments).json()
        self.assertEqual(document["schema"], "qkjit.bench.list/1")
        return document["cases"]

    def test_text_has_a_line_for_each_case(self):
        lines = self.qkjit("bench", "--list").out.splitlines()
        cases = self.cases()
        self.assertEqual(len(lines), len(cases) + 1)  # a heading
        self.assertEqual([line.split("  ")[0] for line in lines[1:]],
                         [f"{case['group']}/{case['name']}" for case in cases])

    def test_every_group_and_model_is_there(self):
        cases = self.cases()
        self.assertEqual({case["group"] for case in cases}, {"models", "measured", "grid"})
        names = [case["name"] for case in cases if case["group"] == "models"]
        names += [name.removeprefix("models/") for case in cases for name in case["also"]
                  if name.startswith("models/")]
        self.assertEqual({name.split("/")[0] for name in names},
                         set(MODELS))

    def test_selections(self):
        groups = {case["group"] for case in self.cases("--group", "grid", "--group", "measured")}
        self.assertEqual(groups, {"grid", "measured"})
        self.assertTrue(all("neox" in case["name"]
                            for case in self.cases("--group", "grid", "--case", "neox")))
        calls = [case["name"] for case in self.cases("--model", "flux1-dev")]
        self.assertEqual(calls, [f"flux1-dev/{call}" for call in
                                 ("double.image", "double.text", "single")])
        own, = self.cases("--spec", SPEC, "--tokens", 7, "--heads-q", 3, "--heads-k", 1)
        self.assertEqual((own["spec"], own["tokens"], own["heads_q"], own["heads_k"]),
                         (SPEC, 7, 3, 1))

    def test_help_is_data(self):
        done = self.qkjit("bench", "--help")
        for option in ("--group", "--case", "--resident", "--host", "--svg"):
            self.assertIn(option, done.out)

    def test_what_is_not_there_is_an_error_with_a_hint(self):
        self.qkjit("bench", "--list", "--group", "bogus", code=2, says=["bogus", "measured"])
        self.qkjit("bench", "--list", "--case", "flux9", code=3,
                   says=["'flux9'", "nearest is", "--list"])
        self.qkjit("bench", "--list", "--model", "flux1-de", code=3, says="nearest is flux1-dev")
        self.qkjit("bench", "--list", "--spec", "head_dim=64", code=2, says="rope_dim")
        self.qkjit("bench", "--list", "--spec", SPEC, "--group", "grid", code=2, says="--group")
        self.qkjit("bench", "--list", "--tokens", 7, code=2, says="--spec")
        self.qkjit("bench", "--host", "--group", "grid", code=2, says="--group")
        self.qkjit("bench", "--target", "sm_90", code=2, says="--host")


class WithoutGpu(CliTest):
    def test_measuring_is_the_environments_fault(self):
        done = self.qkjit("bench", "--json", code=4, says="driver")
        self.assertEqual(done.out, "")
        self.qkjit("bench", "--host", code=4, says=["driver", "--target"])

    def test_the_first_call_needs_no_gpu(self):
        document = self.qkjit("bench", "--host", "--target", "sm_90", "--json",
                              says="no GPU").json()
        self.assertEqual(document["schema"], "qkjit.bench.host/1")
        self.assertEqual((document["target"], document["start_up"], document["launch"]),
                         ("sm_90", None, None))
        call = document["first_call"]
        self.assertAlmostEqual(call["compile_over_empty"], call["compile_ms"] / call["empty_ms"], 6)
        self.assertGreater(call["compile_over_empty"], 1)  # it compiles more than nothing
        self.assertLess(call["warm_ms"], call["empty_ms"])  # and with a cache it compiles nothing
        self.assertTrue(0 < document["lookup_ns"] < 1000, document["lookup_ns"])

    def test_its_text_is_for_people_and_its_cache_its_own(self):
        out = self.qkjit("bench", "--host", "--target", "sm_90", "--spec", SPEC).out
        for text in (SPEC, "sm_90", "empty kernel", "x empty", "warm cache"):
            self.assertIn(text, out)
        self.assertFalse(self.cache.exists())

    def test_what_the_compiler_refuses_is_passed_on(self):
        self.qkjit("bench", "--host", "--target", "sm_1", code=2, says="sm_1")
        self.qkjit("bench", "--host", "--target", "sm_90", env={"QKJIT_NVRTC": "/nonexistent"},
                   code=4, says="/nonexistent")


if __name__ == "__main__":
    qkjit_cli.main()
