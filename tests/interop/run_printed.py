"""Runs printed modules in PyTorch and compares them with what the reference evaluator computed.

    cargo run -p cotangent-tests --example printed_modules > modules.json
    python tests/interop/run_printed.py modules.json

Needs PyTorch 2; run by hand, for no test may depend on it. Exits with 1 if a module fails.
"""

import collections
import json
import sys
import warnings

import torch

TOLERANCE = {"float64": 1e-9, "float32": 2e-4, "float16": 2e-2, "bfloat16": 1e-1}

# Eigenvectors and singular vectors have no sign of their own.
SIGNLESS = ("linalg_eigh", "linalg_svd")


def tensor(a):
    dtype = getattr(torch, a["dtype"])
    data = bytearray.fromhex(a["hex"])
    if not data:
        return torch.empty(a["shape"], dtype=dtype)
    return torch.frombuffer(data, dtype=dtype).reshape(a["shape"])


def check(case):
    namespace = {}
    exec(compile(case["module"], case["name"], "exec"), namespace)
    got = namespace["Module"]()(*map(tensor, case["args"]))
    got = [got] if isinstance(got, torch.Tensor) else list(got)
    expected = list(map(tensor, case["results"]))
    assert len(got) == len(expected), f"{len(got)} results, expected {len(expected)}"
    for g, e in zip(got, expected):
        assert g.dtype == e.dtype and g.shape == e.shape, f"{g.dtype}{list(g.shape)}, expected {e.dtype}{list(e.shape)}"
        # A result is no more exact than the least exact value on the way.
        dtypes = {a["dtype"] for a in case["args"]} | {str(e.dtype).removeprefix("torch.")}
        used = [n for n in TOLERANCE if n in dtypes or f"torch.{n}" in case["module"]] if e.is_floating_point() else []
        tolerance = max((TOLERANCE[n] for n in used), default=0)
        if any(op in case["module"] for op in SIGNLESS):
            g, e = g.abs(), e.abs()
        torch.testing.assert_close(g, e, rtol=tolerance, atol=tolerance, equal_nan=True)


def main():
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    with open(sys.argv[1], encoding="utf-8") as f:
        cases = json.load(f)
    failures = collections.Counter()
    for case in cases:
        try:
            check(case)
        except Exception as e:
            failures[case["name"].split(" (")[0]] += 1
            print(f"{case['name']}: {type(e).__name__}: {' '.join(str(e).split())[:300]}")
    print(f"{len(cases) - failures.total()} of {len(cases)} modules agree with PyTorch {torch.__version__}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
