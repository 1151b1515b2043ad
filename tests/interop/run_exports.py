"""Runs what cotangent exports in PyTorch and JAX, and compares values; see README.md beside this file."""

import argparse
import collections
import importlib.util
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import torch

TOLERANCE = {"float64": 1e-9, "float32": 2e-4, "float16": 2e-2, "bfloat16": 1e-1}

# XLA's double precision functions of CHLO are as good as single precision at worst.
XLA_TOLERANCE = {**TOLERANCE, "float64": 1e-6, "float32": 1e-3}

# Eigenvectors and singular vectors have no sign of their own.
SIGNLESS = ("linalg_eigh", "linalg_svd", "syevd", "gesdd", "eigh", "svd")

TRANSFORMS = ("", "grad", "vjp", "vmap(size=3)", "vmap(grad, size=2)", "jacrev", "jvp", "hessian")


def tensor(a):
    dtype = getattr(torch, a["dtype"])
    data = bytearray.fromhex(a["hex"])
    if not data:
        return torch.empty(a["shape"], dtype=dtype)
    return torch.frombuffer(data, dtype=dtype).reshape(a["shape"])


def compare(got, expected, text, name, table):
    got = [got] if isinstance(got, torch.Tensor) else [g for g in torch.utils._pytree.tree_leaves(got) if g is not None]
    assert len(got) == len(expected), f"{len(got)} results, expected {len(expected)}"
    for g, e in zip(got, expected):
        g = g.detach()
        assert g.dtype == e.dtype and g.shape == e.shape, f"{g.dtype}{list(g.shape)}, expected {e.dtype}{list(e.shape)}"
        # A result is no more exact than the least exact value on the way.
        short = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}
        used = [n for n in table if str(e.dtype) == f"torch.{n}" or f"torch.{n}" in text or f"x{short[n]}>" in text or f"<{short[n]}>" in text]
        tolerance = max((table[n] for n in used), default=0) if e.is_floating_point() else 0
        if any(op in text or op in name for op in SIGNLESS):
            g, e = g.abs(), e.abs()
            if "vjp" in name or "grad" in name or "jac" in name or "hessian" in name:
                # Nor has the derivative along a vector that does not turn with them.
                continue
        torch.testing.assert_close(g, e, rtol=tolerance, atol=tolerance, equal_nan=True)


def run_code(source, args):
    namespace = {}
    exec(compile(source, "module", "exec"), namespace)
    return namespace["Module"]()(*args)


def run_pt2(data, args):
    program = torch.export.load(io.BytesIO(data) if isinstance(data, bytes) else data)
    return program.module()(*args)


class Xla:
    """Compiles StableHLO text and runs it on the CPU."""

    def __init__(self):
        import jax
        import jaxlib.lapack
        from jax._src.interpreters import mlir
        from jax._src.lib import xla_client
        from jaxlib.mlir import ir

        jax.config.update("jax_enable_x64", True)
        # Finds LAPACK's routines, which programs call by name.
        jaxlib.lapack._lapack.initialize()
        self.jax, self.mlir, self.client, self.ir = jax, mlir, xla_client, ir
        self.device = jax.devices("cpu")[0]

    def run(self, text, args):
        with self.mlir.make_ir_context():
            module = self.ir.Module.parse(text)
            assert module.operation.verify()
            bytecode = self.mlir.module_to_bytecode(module)
        devices = self.client.DeviceList((self.device,))
        program = self.device.client.compile_and_load(bytecode, devices, self.client.CompileOptions())
        results = program.execute([self.jax.device_put(to_numpy(a), self.device) for a in args])
        return [from_numpy(np.asarray(r)) for r in results]


def to_numpy(t):
    import ml_dtypes

    t = t.detach().contiguous()
    return t.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if t.dtype == torch.bfloat16 else t.numpy()


def from_numpy(a):
    a = np.ascontiguousarray(a).reshape(a.shape)
    return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16) if a.dtype.name == "bfloat16" else torch.from_numpy(a.copy())


class Tally:
    """Counts of what agreed; says how far it is every half minute, and what took longest at the end."""

    def __init__(self, total):
        self.counts = collections.defaultdict(collections.Counter)
        self.total, self.begun, self.said = total, 0, time.time()
        self.start, self.slowest = time.time(), []

    def begin(self, name):
        self.begun += 1
        if time.time() - self.said > 30:
            self.said = time.time()
            print(f"{self.begun} of {self.total} after {self.said - self.start:.0f} s: {name}", file=sys.stderr, flush=True)

    def run(self, form, name, f):
        start = time.time()
        try:
            self.counts[form]["refused" if f() == "refused" else "agree"] += 1
        except Exception as e:
            self.counts[form]["failed"] += 1
            print(f"{form}: {name}: {type(e).__name__}: {' '.join(str(e).split())[:300]}", flush=True)
        self.slowest = sorted([*self.slowest, (time.time() - start, f"{form}: {name}")], reverse=True)[:5]

    def finish(self):
        print(f"{self.begun} cases in {time.time() - self.start:.0f} s; the slowest:", file=sys.stderr)
        for seconds, name in self.slowest:
            print(f"{seconds:>7.1f} s {name}", file=sys.stderr)
        for form, c in self.counts.items():
            print(f"{form:<15}{c['agree']:>7} agree{c['failed']:>7} failed{c['refused']:>7} refused")
        return 1 if any(c["failed"] for c in self.counts.values()) else 0


def samples(path, chosen, only):
    xla = Xla() if only in (None, "stablehlo") else None
    with open(path, encoding="utf-8") as f:
        cases = chosen([(case["name"], case) for case in json.load(f)])
    tally = Tally(len(cases))
    for name, case in cases:
        args, expected = list(map(tensor, case["args"])), list(map(tensor, case["results"]))
        tally.begin(name)

        def code(spelling):
            compare(run_code(case[spelling], args), expected, case[spelling], name, TOLERANCE)

        def pt2(key):
            compare(run_pt2(bytes.fromhex(case[key]), args), expected, case["today"], name, TOLERANCE)

        def stablehlo():
            if case["stablehlo"] is None:
                return "refused"
            return compare(xla.run(case["stablehlo"], args), expected, case["stablehlo"], name, XLA_TOLERANCE)

        forms = {
            "today": lambda: code("today"),
            "functorch2021": lambda: code("functorch2021"),
            "raised": lambda: code("raised"),
            "pt2": lambda: pt2("pt2"),
            "raised_pt2": lambda: pt2("raised_pt2"),
            "stablehlo": stablehlo,
        }
        for form, f in forms.items():
            if only in (None, form):
                tally.run(form, name, f)
    return tally.finish()


def programs(command, corpus, chosen, only):
    from safetensors.torch import load_file, save_file

    xla = Xla() if only in (None, "stablehlo") else None
    paths = sorted(pathlib.Path(corpus).rglob("*.pt2"))
    cases = chosen([(f"{path.relative_to(corpus)} {transform}", (path, transform)) for path in paths for transform in TRANSFORMS])
    tally = Tally(len(cases))
    for name, (path, transform) in cases:
        tally.begin(name)
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            source = [str(path)] + (["--transform", transform] if transform else [])

            def call(*args):
                done = subprocess.run([command, *args], capture_output=True, text=True, timeout=300)
                assert done.returncode == 0, done.stderr
                return done.stdout

            try:
                ir = call("print", *source, "--form", "json")
            except AssertionError:
                continue  # The transform does not fit the program: no scalar result, integer arguments.
            graph = json.loads(ir)
            inputs, stored = arguments(call, source, graph, scratch)
            save_file(inputs, scratch / "in.safetensors")
            try:
                call("run", *source, "--inputs", str(scratch / "in.safetensors"), "--out", str(scratch / "out.safetensors"))
            except AssertionError:
                continue  # No value at random arguments: an index out of bounds, a matrix that is not definite.
            results = load_file(scratch / "out.safetensors")
            expected = [results[str(i)] for i in range(len(results))]

            def export(form, suffix):
                out = scratch / f"export_{form}{suffix}"
                call("export", *source, "--to", form, "--out", str(out))
                return out

            def code():
                out = export("torch", ".py")
                spec = importlib.util.spec_from_file_location("exported", out)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                compare(module.run(inputs), expected, out.read_text(), name, TOLERANCE)

            def pt2():
                text = call("print", *source)
                users = [inputs[n] for n in names if n not in stored]
                compare(run_pt2(str(export("pt2", ".pt2")), users), expected, text, name, TOLERANCE)

            def stablehlo():
                try:
                    out = export("stablehlo", ".mlir")
                except AssertionError as e:
                    if "has no form in StableHLO" in str(e):
                        return "refused"
                    raise
                values = {**(load_file(out.with_suffix(".safetensors"))), **inputs}
                return compare(xla.run(out.read_text(), [values[n] for n in names]), expected, out.read_text(), name, XLA_TOLERANCE)

            names = leaf_names(graph)
            for form, f in {"torch": code, "pt2": pt2, "stablehlo": stablehlo}.items():
                if only in (None, form):
                    tally.run(form, name, f)
    return tally.finish()


def leaf_names(graph):
    """A name for each parameter, as the command gives them."""

    def leaves(tree):
        if isinstance(tree, str):
            return 1 if tree == "leaf" else 0
        ((kind, body),) = tree.items()
        if kind == "struct":
            body = body[1]
        return sum(leaves(t[1] if kind in ("dict", "struct") else t) for t in body)

    signature = graph["signature"]
    names = []
    for name, tree in zip(signature["names"], signature["params"]):
        names += [name] if tree == "leaf" else [f"{name}.{i}" for i in range(leaves(tree))]
    return names


DTYPES = {
    "f32": torch.float32,
    "f64": torch.float64,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "i64": torch.int64,
    "i32": torch.int32,
    "i16": torch.int16,
    "i8": torch.int8,
    "u8": torch.uint8,
    "bool": torch.bool,
}


def arguments(call, source, graph, scratch):
    """Random values for the parameters that are not stored with the program, and the names of those that are."""
    from safetensors.torch import load_file

    call("export", *source, "--to", "torch", "--out", str(scratch / "stored.py"))
    weights = load_file(scratch / "stored.safetensors")
    inputs, stored = {}, set()
    for name, param in zip(leaf_names(graph), graph["params"]):
        dtype, shape = DTYPES[param["dtype"]], param["shape"]
        weight = weights.get(name)
        if weight is not None and weight.dtype == dtype and list(weight.shape) == shape:
            stored.add(name)
        elif dtype.is_floating_point:
            inputs[name] = (torch.rand(shape, dtype=torch.float64) * 0.8 + 0.1).to(dtype)
        else:
            inputs[name] = torch.randint(0, 2, shape).to(dtype)
    return inputs, stored


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one form: today, functorch2021, raised, torch, pt2, raised_pt2 or stablehlo")
    parser.add_argument("--filter", default="", help="only cases whose name holds this text")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="the k-th of n equal parts of the cases, each a cross-section")
    sub = parser.add_subparsers(dest="what", required=True)
    sub.add_parser("samples").add_argument("modules")
    corpus = sub.add_parser("programs")
    corpus.add_argument("command")
    corpus.add_argument("corpus")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    k, n = map(int, args.part.split("/"))

    def chosen(cases):
        return [c for c in cases if args.filter in c[0]][k - 1 :: n]

    if args.what == "samples":
        return samples(args.modules, chosen, args.only)
    return programs(args.command, args.corpus, chosen, args.only)


if __name__ == "__main__":
    sys.exit(main())
