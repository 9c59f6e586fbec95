"""Scores of a small classifier by a float64 forward pass of its own, for `--expect`.

Writes w.safetensors (f32, named as torch.nn.TransformerEncoder names them), data.npz and scores.npy beside itself:
    python make.py        # numpy alone
A convolution over the steps, learned positions, two pre-norm blocks with GELU (erf), the mean of the tokens, then a
norm, then a linear head; every epsilon is 1e-3.
"""

import json
import math
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent
WIDTH, HEADS, HIDDEN, LAYERS, CLASSES = 16, 4, 24, 2, 3
CHANNELS, STEPS, KERNEL, STRIDE, POSITIONS = 2, 24, 4, 2, 24
SCALE, EPSILON = 0.01, 1e-3


def parameters(rng):
    def draw(*shape, size=None):
        size = 1.5 / math.sqrt(np.prod(shape[1:]) or 1) if size is None else size
        return rng.normal(0, size, shape).astype(np.float32)

    def norm(name):
        return {f"{name}.weight": 1 + draw(WIDTH, size=0.3), f"{name}.bias": draw(WIDTH, size=0.3)}

    def linear(name, outputs, inputs):
        return {f"{name}.weight": draw(outputs, inputs), f"{name}.bias": draw(outputs, size=0.2)}

    p = {"conv.weight": draw(WIDTH, CHANNELS, KERNEL), "conv.bias": draw(WIDTH, size=0.2)}
    p["pos_embed"] = draw(1, POSITIONS, WIDTH, size=0.3)
    for i in range(LAYERS):
        at = f"encoder.layers.{i}"
        p |= {f"{at}.self_attn.in_proj_weight": draw(3 * WIDTH, WIDTH)}
        p |= {f"{at}.self_attn.in_proj_bias": draw(3 * WIDTH, size=0.2)}
        p |= linear(f"{at}.self_attn.out_proj", WIDTH, WIDTH)
        p |= linear(f"{at}.linear1", HIDDEN, WIDTH) | linear(f"{at}.linear2", WIDTH, HIDDEN)
        p |= norm(f"{at}.norm1") | norm(f"{at}.norm2")
    return p | norm("norm") | linear("fc", CLASSES, WIDTH)


def forward(p, x):
    """[steps, channels] to [classes]."""
    p = {name: value.astype(np.float64) for name, value in p.items()}
    erf = np.vectorize(math.erf)

    def norm(name, x):
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + EPSILON) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(name, x):
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def attention(at, x):
        q, k, v = np.split(x @ p[f"{at}.in_proj_weight"].T + p[f"{at}.in_proj_bias"], 3, axis=-1)
        heads = []
        for h in range(HEADS):
            of = slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS)
            scores = q[:, of] @ k[:, of].T / math.sqrt(WIDTH / HEADS)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(weights / weights.sum(-1, keepdims=True) @ v[:, of])
        return linear(f"{at}.out_proj", np.concatenate(heads, -1))

    count = (len(x) - KERNEL) // STRIDE + 1
    tokens = np.empty((count, WIDTH))
    for t in range(count):
        patch = x[t * STRIDE : t * STRIDE + KERNEL]
        tokens[t] = np.einsum("dck,kc->d", p["conv.weight"], patch) + p["conv.bias"]
    tokens = tokens + p["pos_embed"][0, :count]
    for i in range(LAYERS):
        at = f"encoder.layers.{i}"
        tokens = tokens + attention(f"{at}.self_attn", norm(f"{at}.norm1", tokens))
        hidden = linear(f"{at}.linear1", norm(f"{at}.norm2", tokens))
        tokens = tokens + linear(f"{at}.linear2", 0.5 * hidden * (1 + erf(hidden / math.sqrt(2))))
    return linear("fc", norm("norm", tokens.mean(0)))


def save(tensors, path):
    header, data = {}, b""
    for name, value in sorted(tensors.items()):
        header[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": [len(data), len(data) + value.nbytes]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


rng = np.random.default_rng(7)
weights = parameters(rng)
raw = rng.normal(0, 80, (20, STEPS, CHANNELS)).astype(np.int16)
save(weights, HERE / "w.safetensors")
scores = np.array([forward(weights, x * SCALE) for x in raw]).astype(np.float32)
np.save(HERE / "scores.npy", scores)
np.savez(HERE / "data.npz", x_train=raw, scores_train=scores, other=scores[:5])
print(scores[0])
