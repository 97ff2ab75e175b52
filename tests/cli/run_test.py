"""qkjit run: models and specs on host memory, checked against the oracle."""

import json
from pathlib import Path

import qkjit_cli
import tensors
from qkjit_cli import MODELS, SPEC, CliTest

RUN_SPEC = ["run", "--spec", SPEC, "--tokens", 5, "--device", "cpu", "--check"]


class Models(CliTest):
    def run_model(self, model, *arguments, **options):
        return self.qkjit("run", "--model", model, "--device", "cpu", "--tokens", 7, "--check",
                          "--json", *arguments, **options).json()

    def test_every_model_agrees_with_the_oracle(self):
        for model in MODELS:
            with self.subTest(model=model):
                document = self.run_model(model)
                self.assertEqual(document["compiled"] + document["hits"], len(document["kernels"]))
                self.assertGreaterEqual(len(document["calls"]), 1)
                for call in document["calls"]:
                    self.assertEqual((call["path"], call["reason"]), ("cpu", "host_memory"))
                    check = call["check"]
                    self.assertTrue(check["passed"], check)
                    elements = call["tokens"] * (call["heads_q"] + call["heads_k"])
                    head_dim = int(call["spec"].split("head_dim=")[1].split(",")[0])
                    self.assertEqual(check["elements"], elements * head_dim)
                    self.assertEqual(check["checked"], check["exact"] + check["within"])

    def test_the_list_above_has_all_models(self):
        known = self.qkjit("run", "--model", "?", code=3).err
        names = known.split("Models are ")[1].split(", or a file")[0].split(", ")
        self.assertEqual(MODELS, names)

    def test_streams_of_flux(self):
        calls = {call["call"]: call for call in self.run_model("flux1-dev")["calls"]}
        self.assertEqual(list(calls), ["double.image", "double.text", "single"])
        self.assertEqual(calls["single"]["tokens"],
                         calls["double.image"]["tokens"] + calls["double.text"]["tokens"])
        only = self.run_model("flux1-dev", "--call", "single")["calls"]
        self.assertEqual([call["call"] for call in only], ["single"])
        self.qkjit("run", "--model", "flux1-dev", "--call", "none", code=3, says="'none'")

    def test_names_and_files(self):
        self.qkjit("run", "--model", "flux1-de", code=3,
                   says=["'flux1-de'", "nearest is flux1-dev"])
        self.qkjit("run", "--model", "no/such.json", code=3, says="no/such.json")
        file = Path(__file__).parents[2] / "models/qwen3-8b.json"
        self.assertEqual(self.run_model(file)["title"], self.run_model("qwen3-8b")["title"])
        (self.dir / "bad.json").write_text(json.dumps({"name": "bad"}))
        self.qkjit("run", "--model", "bad.json", code=2, says="title")


class Specs(CliTest):
    def test_text_is_for_people(self):
        out = self.qkjit(*RUN_SPEC).out
        for text in [SPEC, "qkjit_hd64_rd64_neox_bf16_int64", "host_memory", "compiled in",
                     "passed", "every call agrees with the oracle"]:
            self.assertIn(text, out)

    def test_every_kind_of_spec(self):
        for spec in ["head_dim=80,rope_dim=40,layout=neox,dtype=fp16,rounding=hf",
                     "head_dim=64,rope_dim=0,layout=interleaved,dtype=fp32",
                     "head_dim=33,rope_dim=6,layout=interleaved,dtype=bf16,rounding=eager"]:
            self.qkjit("run", "--spec", spec, "--tokens", 3, "--heads-q", 3, "--heads-k", 1,
                       "--device", "cpu", "--check")

    def test_computed_angles(self):
        for rest in ["positions=implicit", "sections=12+10+10", "placement=tail"]:
            out = self.qkjit("run", "--spec", f"{SPEC.replace('64', '128', 1)},{rest},angles=computed",
                             "--tokens", 40, "--device", "cpu", "--check").out
            self.assertIn("every call agrees with the oracle", out)

    def test_frequencies_of_computed_angles(self):
        spec, yarn = f"{SPEC},angles=computed", ["--base", 1e6, "--yarn-factor", 4, "--yarn-low", 6,
                                                 "--yarn-high", 20, "--attention-factor", 1.1386]
        self.qkjit("run", "--spec", spec, "--tokens", 40, "--device", "cpu", "--out", "a.safetensors")
        for more in (yarn, ["--linear-factor", 8]):
            out = self.qkjit("run", "--spec", spec, "--tokens", 40, "--device", "cpu", "--check",
                             "--out", "b.safetensors", *more).out
            self.assertIn("every call agrees with the oracle", out)
            self.assertNotEqual((self.dir / "a.safetensors").read_bytes(),
                                (self.dir / "b.safetensors").read_bytes())
        self.qkjit("run", "--spec", SPEC, "--device", "cpu", "--base", 5, code=2,
                   says=["angles=computed", "10000"])
        self.qkjit("run", "--spec", spec, "--device", "cpu", "--base", 0.5, code=2, says="base")

    def test_batches_and_v(self):
        for rest, batch in [("batch=strided", 3), ("batch=strided,positions=int32,v=copy", 2),
                            ("batch=folded", 3), ("v=copy", 0), ("v=copy", 2),
                            ("batch=strided,sections=12+10+10", 2)]:
            with self.subTest(rest=rest, batch=batch):
                document = self.qkjit(
                    "run", "--spec", f"{SPEC},{rest}", "--tokens", 5, "--heads-q", 4, "--heads-k", 2,
                    "--device", "cpu", "--check", "--json", *(["--batch", batch] if batch else [])).json()
                call, = document["calls"]
                self.assertEqual(call["tokens"], 5 * max(1, batch))
                heads = 6 + (2 if "v=copy" in rest else 0)
                self.assertTrue(call["check"]["passed"])
                self.assertEqual(call["check"]["elements"], call["tokens"] * heads * 64)
        self.qkjit("run", "--model", "flux1-dev", "--batch", 2, code=2, says="--spec")

    def test_outputs_of_another_kind(self):
        for rest, batch in [("out=fp8_e4m3", 0), ("out=fp8_e4m3,out_scale=head,batch=strided", 2),
                            ("out=fp8_e4m3,out_scale=token,v=copy", 2), ("q_out=fp8_e4m3", 0),
                            ("cache=paged,v=copy", 0), ("cache=paged,slots=int32,v=copy,out=fp8_e4m3", 2),
                            ("cache=paged,out=fp8_e4m3,out_scale=head,v=copy,batch=strided", 3)]:
            with self.subTest(rest=rest, batch=batch):
                call, = self.qkjit(
                    "run", "--spec", f"{SPEC},{rest}", "--tokens", 21, "--heads-q", 4, "--heads-k", 2,
                    "--device", "cpu", "--check", "--json", *(["--batch", batch] if batch else [])).json()["calls"]
                self.assertTrue(call["check"]["passed"])
                heads = 6 + (2 if "v=copy" in rest else 0)
                self.assertEqual(call["check"]["elements"], 21 * max(1, batch) * heads * 64)

    def test_outputs_of_another_kind_are_written(self):
        self.qkjit("run", "--spec", f"{SPEC},cache=paged,v=copy,out=fp8_e4m3,out_scale=head", "--tokens", 21,
                   "--heads-q", 4, "--heads-k", 2, "--device", "cpu", "--out", "out.safetensors")
        shapes = {name: (dtype, shape) for name, (dtype, shape, _) in
                  tensors.read(self.dir / "out.safetensors").items()}
        paged = ("F8_E4M3", [2, 16, 2, 64])
        self.assertEqual(shapes, {"q": ("F8_E4M3", [21, 4, 64]), "k_cache": paged, "v_cache": paged,
                                  "slot_mapping": ("I64", [21]), "q_scale": ("F32", [21, 4]),
                                  "k_scale": ("F32", [21, 2]), "v_scale": ("F32", [21, 2])})

    def test_every_kind_of_norm(self):
        for norm in ["norm=layer,bias=yes,weight_dtype=fp32", "q_norm=none,k_norm=layer,weight=none",
                     "weight=one_plus,rounding=late_weight", "norm_order=after,rounding=split"]:
            for dtype in ("bf16", "fp32"):
                out = self.qkjit("run", "--spec", f"{SPEC.replace('bf16', dtype)},{norm}", "--tokens", 3,
                                 "--device", "cpu", "--check").out
                self.assertIn("every call agrees with the oracle", out)

    def test_bad_specs_name_the_field_and_the_nearest(self):
        for change, says in [(("rope_dim", "rope_dims"), ["'rope_dims'", "nearest is rope_dim"]),
                             (("neox", "neo"), ["layout=neo", "nearest is neox"]),
                             (("rope_dim=64", "rope_dim=63"), "rope_dim=63 is odd"),
                             (("rope_dim=64", "rope_dim=66"), "rope_dim=66"),
                             (("head_dim=64", "head_dim=0"), "head_dim=0"),
                             (("head_dim=64", "head_dim=many"), "head_dim=many"),
                             ((",dtype=bf16", ""), "no dtype"),
                             (("layout", "norm=rms,k_norm=none,layout"), "both norm and k_norm"),
                             (("layout", "bias=yes,layout"), "without a LayerNorm"),
                             (("layout", "head_dim=8,layout"), "head_dim is given twice")]:
            self.qkjit("run", "--spec", SPEC.replace(*change), "--device", "cpu", code=2, says=says)
        self.qkjit("run", "--spec", SPEC.replace("head_dim=64", "head_dim=1032"), code=3,
                   says="1024")
        for eps in ("-1", "nan", "inf"):
            self.qkjit(*RUN_SPEC, f"--eps={eps}", code=2, says="eps")

    def test_what_needs_a_gpu_says_so(self):
        self.qkjit("run", "--spec", SPEC, "--device", "gpu", code=4, says="driver")
        for path in ("fused", "generic"):
            self.qkjit(*RUN_SPEC, "--path", path, code=3, says=[f"path={path}", "device memory"])


if __name__ == "__main__":
    qkjit_cli.main()
