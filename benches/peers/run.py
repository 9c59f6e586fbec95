"""CPU time of attention beside other engines, one thread each, in one run.

    python -m venv target/peers
    target/peers/bin/pip install -r benches/peers/requirements.txt
    target/peers/bin/python benches/peers/run.py

Times four heads of 32 columns: exact attention, FAVOR+ with 64 directions and LSH of this crate with each backend that the
processor has; the fused float attention of onnxruntime, torch's, and FAVOR+ compiled by JAX. A time is the least of several
runs in seconds of CPU time, so that what else the machine does matters little; ratios are ours over theirs.
"""

import argparse
import os
import pathlib
import subprocess
import time

# Read when the libraries are loaded.
os.environ.update(
    OMP_NUM_THREADS="1",
    JAX_PLATFORMS="cpu",
    XLA_FLAGS="--xla_cpu_multi_thread_eigen=false",
)
# JAX has a pool of threads whatever it is told: one core for all keeps them from working side by side.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADS, WIDTH, DIRECTIONS = 4, 32, 64
BACKENDS = ["avx512", "avx2", "portable"]


def least(run, seconds=1.0):
    """The least CPU time of the runs that fit into so many seconds, at least three."""
    run()
    times, begun = [], time.time()
    while len(times) < 3 or time.time() - begun < seconds:
        before = time.process_time()
        run()
        times.append(time.process_time() - before)
    return min(times)


def drawn(*shape):
    return [np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) for seed in range(3)]


def onnxruntime_exact(tokens):
    import onnxruntime
    from onnx import TensorProto, helper

    shape = [1, tokens, HEADS * WIDTH]
    tensor = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    node = helper.make_node(
        "MultiHeadAttention", ["q", "k", "v"], ["out"], domain="com.microsoft", num_heads=HEADS
    )
    graph = helper.make_graph([node], "attention", [tensor(name) for name in "qkv"], [tensor("out")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rows = dict(zip("qkv", drawn(*shape)))
    return least(lambda: session.run(None, rows))


def torch_exact(tokens):
    import torch

    torch.set_num_threads(1)
    q, k, v = [torch.from_numpy(rows) for rows in drawn(1, HEADS, tokens, WIDTH)]
    with torch.inference_mode():
        return least(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v))


def jax_favor(tokens):
    import jax
    import jax.numpy as jnp

    projection = np.random.default_rng(3).standard_normal((DIRECTIONS, WIDTH), dtype=np.float32)

    @jax.jit
    def attend(q, k, v):
        def exponents(rows):
            rows = rows * WIDTH**-0.25
            return jnp.einsum("hnd,md->hnm", rows, projection) - 0.5 * (rows**2).sum(-1, keepdims=True)

        of_q, of_k = exponents(q), exponents(k)
        f = jnp.exp(of_q - of_q.max(-1, keepdims=True)) + 1e-6
        phi = jnp.exp(of_k - of_k.max((-2, -1), keepdims=True)) + 1e-6
        sums = jnp.einsum("hnm,hnd->hmd", phi, v)
        return jnp.einsum("hnm,hmd->hnd", f, sums) / jnp.einsum("hnm,hm->hn", f, phi.sum(-2))[..., None]

    q, k, v = [jnp.asarray(rows) for rows in drawn(HEADS, tokens, WIDTH)]
    return least(lambda: attend(q, k, v).block_until_ready())


def ours(program, mechanism, tokens, backend):
    """The least time of some heads with a backend; none where this machine lacks it."""
    run = subprocess.run(
        [program, mechanism, str(tokens), str(HEADS)],
        env={**os.environ, "FIXFORMER_BACKEND": backend},
        check=True,
        capture_output=True,
        text=True,
    )
    found, seconds = run.stdout.split()
    return float(seconds) if found == backend else None


def build():
    """Builds the bench and returns the program."""
    command = ["cargo", "bench", "--bench", "peers", "--no-run", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    import json

    messages = [json.loads(line) for line in built.stdout.splitlines()]
    programs = [message.get("executable") for message in messages if message.get("reason") == "compiler-artifact"]
    return [program for program in programs if program][-1]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tokens", type=int, nargs="+", default=[2048, 8192])
    options.add_argument("--program", help="the bench, where it is built already")
    options = options.parse_args()
    program = options.program or build()
    for tokens in options.tokens:
        peers = {
            "onnxruntime": onnxruntime_exact(tokens),
            "torch": torch_exact(tokens),
            "jax": jax_favor(tokens),
        }
        print(f"\n{tokens} tokens, {HEADS} heads of {WIDTH} columns, seconds of CPU time")
        for name, seconds in peers.items():
            print(f"  {name:<22}{seconds:.5f}")
        for backend in BACKENDS:
            exact = ours(program, "exact", tokens, backend)
            if exact is None:
                continue
            favor, lsh = [ours(program, mechanism, tokens, backend) for mechanism in ("favor", "lsh")]
            print(f"  exact {backend:<16}{exact:.5f}  over onnxruntime {exact / peers['onnxruntime']:.2f}, "
                  f"torch {exact / peers['torch']:.2f}")
            print(f"  favor {backend:<16}{favor:.5f}  over jax {favor / peers['jax']:.2f}")
            print(f"  lsh {backend:<18}{lsh:.5f}  over our favor {lsh / favor:.2f}")


if __name__ == "__main__":
    main()
