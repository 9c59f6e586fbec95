"""Makes the ONNX graphs of this folder and many more: small classifiers, as torch exports them.

    pip install torch onnx onnxscript onnxruntime numpy
    python export.py DIR [NAME ...]

Every model is exported by both exporters of torch where they can, with a fixed and an open batch. Beside NAME.onnx
lies NAME.npz: `x`, recordings as the graph takes them, and the `scores` that onnxruntime gives for them.
"""

import copy
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.nn import functional as F

WIDTH, HEADS, HIDDEN, CLASSES = 32, 2, 64, 3


class Own(nn.Module):
    """Attention as people write it themselves."""

    def __init__(self, form, causal=False):
        super().__init__()
        self.form, self.causal = form, causal
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH // HEADS) for _ in range(HEADS))
        self.out = nn.Linear(WIDTH, WIDTH)

    def split(self, x):
        b, t, _ = x.shape
        if self.form == "chunk":
            q, k, v = self.qkv(x).chunk(3, dim=-1)
        elif self.form == "split":
            q, k, v = self.qkv(x).split(WIDTH, dim=-1)
        elif self.form == "slice":
            y = self.qkv(x)
            q, k, v = y[..., :WIDTH], y[..., WIDTH : 2 * WIDTH], y[..., 2 * WIDTH :]
        elif self.form == "unbind":
            y = self.qkv(x).reshape(b, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
            return y[0], y[1], y[2]
        elif self.form == "interleaved":
            return self.qkv(x).reshape(b, t, HEADS, 3 * WIDTH // HEADS).transpose(1, 2).chunk(3, dim=-1)
        else:
            q, k, v = self.q(x), self.k(x), self.v(x)
        return (y.reshape(b, t, HEADS, WIDTH // HEADS).transpose(1, 2) for y in (q, k, v))

    def forward(self, x):
        b, t, _ = x.shape
        if self.form == "each":
            parts = [head(x).chunk(3, dim=-1) for head in self.heads]
            weights = [torch.softmax(q @ k.transpose(1, 2) / (WIDTH // HEADS) ** 0.5, dim=-1) for q, k, _ in parts]
            return self.out(torch.cat([w @ v for w, (_, _, v) in zip(weights, parts)], dim=-1))
        q, k, v = self.split(x)
        if self.form == "sdpa" or self.form == "chunk":
            y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        elif self.form == "einsum":
            s = torch.einsum("bhid,bhjd->bhij", q, k) * (WIDTH // HEADS) ** -0.5
            y = torch.einsum("bhij,bhjd->bhid", s.softmax(dim=-1), v)
        else:
            s = q @ k.transpose(-2, -1) / (WIDTH // HEADS) ** 0.5
            if self.causal:
                mask = torch.tril(torch.ones(t, t))
                s = s.masked_fill(mask == 0, float("-inf"))
            y = torch.softmax(s, dim=-1) @ v
        return self.out(y.transpose(1, 2).reshape(b, t, WIDTH))


class OwnBlock(nn.Module):
    """A block around it, with the order and the GELU as told."""

    def __init__(self, form, order="pre", gelu="erf", causal=False, batch_norm=False):
        super().__init__()
        self.attention = Own(form, causal)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH, eps=1e-6)
        self.expand, self.contract = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.batch_norm = nn.BatchNorm1d(HIDDEN) if batch_norm else None
        self.order, self.gelu = order, gelu

    def activate(self, x):
        if self.gelu == "erf":
            return F.gelu(x)
        if self.gelu == "tanh":
            return F.gelu(x, approximate="tanh")
        if self.gelu == "erf parts":
            return x * 0.5 * (1.0 + torch.erf(x / 2**0.5))
        if self.gelu == "tanh parts":
            return 0.5 * x * (1.0 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * torch.pow(x, 3))))
        return torch.relu(x)

    def feed(self, x):
        x = self.expand(x)
        if self.batch_norm is not None:
            x = self.batch_norm(x.transpose(1, 2)).transpose(1, 2)
        return self.contract(self.activate(x))

    def forward(self, x):
        if self.order == "pre":
            x = x + self.attention(self.norm1(x))
            return x + self.feed(self.norm2(x))
        if self.order == "batch":
            x = x + self.attention(x)
            return x + self.feed(x)
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.feed(x))


class Net(nn.Module):
    """Stem, positions, blocks, pooling, head."""

    def __init__(
        self,
        stem="conv",
        blocks=None,
        norm_first=True,
        activation="relu",
        pool="mean",
        norm="after blocks",
        cls=False,
        positions="learned",
        head="one",
        causal=False,
        norm_in=False,
        tokens=32,
    ):
        super().__init__()
        self.kind, self.pool, self.where, self.causal = stem, pool, norm, causal
        if stem.startswith("conv"):
            self.stem = nn.Conv1d(2, WIDTH, 8, stride=4, bias="nobias" not in stem, dilation=1)
        elif stem == "embedding":
            self.stem = nn.Embedding(16, WIDTH)
        elif stem == "onehot":
            self.stem = nn.Conv1d(16, WIDTH, 4, stride=2)
        elif stem.startswith("windows") or stem == "unfold":
            self.stem = nn.Linear(16, WIDTH)
        else:
            self.stem = nn.Linear(2, WIDTH)
        self.bn_in = nn.BatchNorm1d(2) if "bnin" in stem else None
        self.bn_out = nn.BatchNorm1d(WIDTH) if "bnout" in stem else None
        self.cls = nn.Parameter(torch.randn(1, 1, WIDTH)) if cls else None
        total = tokens + int(cls)
        if positions == "learned":
            self.positions = nn.Parameter(torch.randn(1, total, WIDTH) * 0.5)
        elif positions == "sinusoidal":
            t, i = torch.arange(total)[:, None].double(), torch.arange(0, WIDTH, 2).double()
            angle = t / 10000 ** (i / WIDTH)
            table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
            self.register_buffer("positions", table[None].float())
        elif positions == "embedding":
            self.table = nn.Embedding(total + 8, WIDTH)
            self.positions = None
        else:
            self.positions, self.table = None, None
        self.norm_in = nn.LayerNorm(WIDTH) if norm_in else None
        if blocks is None:
            layer = nn.TransformerEncoderLayer(
                WIDTH, HEADS, HIDDEN, dropout=0.1, activation=activation, batch_first=True, norm_first=norm_first
            )
            self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        else:
            self.blocks = nn.Sequential(*[OwnBlock(**blocks) for _ in range(2)])
        self.own = blocks is not None
        self.norm = nn.LayerNorm(WIDTH) if norm else None
        self.head = {
            "one": lambda: nn.Linear(WIDTH, CLASSES),
            "two": lambda: nn.Sequential(nn.Linear(WIDTH, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, CLASSES)),
            "tanh": lambda: nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, CLASSES)),
            "bn": lambda: nn.Sequential(nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, CLASSES)),
            "softmax": lambda: nn.Sequential(nn.Linear(WIDTH, CLASSES), nn.Softmax(dim=-1)),
        }[head]()

    def embed(self, x):
        if self.bn_in is not None:
            x = self.bn_in(x)
        if self.kind.startswith("conv"):
            x = self.stem(x)
            if self.bn_out is not None:
                x = self.bn_out(x)
            return x.transpose(1, 2)
        if self.kind == "onehot":
            return self.stem(F.one_hot(x, 16).float().transpose(1, 2)).transpose(1, 2)
        if self.kind == "windows":
            return self.stem(x.reshape(x.shape[0], -1, 16))
        if self.kind == "windows2":
            return self.stem(x.reshape(x.shape[0], -1, 8, 2).flatten(2))
        if self.kind == "unfold":
            return self.stem(x.unfold(1, 16, 8))
        return self.stem(x)

    def forward(self, x):
        x = self.embed(x)
        if self.cls is not None:
            x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)
        if getattr(self, "table", None) is not None:
            x = x + self.table(torch.arange(x.shape[1], device=x.device))
        elif self.positions is not None:
            x = x + self.positions[:, : x.shape[1]]
        if self.norm_in is not None:
            x = self.norm_in(x)
        if self.own:
            x = self.blocks(x)
        elif self.causal:
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            x = self.blocks(x, mask=mask, is_causal=True)
        else:
            x = self.blocks(x)
        if self.where == "after blocks":
            x = self.norm(x)
        if self.pool == "mean":
            x = x.mean(dim=1)
        elif self.pool == "adaptive":
            x = F.adaptive_avg_pool1d(x.transpose(1, 2), 1).squeeze(-1)
        elif self.pool == "max":
            x = x.max(dim=1).values if self.kind == "embedding" else x.amax(dim=1)
        else:
            x = x[:, 0 if self.pool == "first" else -1]
        if self.where == "after pooling":
            x = self.norm(x)
        return self.head(x)


# What is to be refused is marked; everything else is to be imported.
CASES = {
    "conv_pre_meannorm": dict(norm="after pooling"),
    "conv_post_max": dict(norm_first=False, norm=None, pool="max", activation="gelu"),
    "convbn_pre_mean": dict(stem="conv bnin bnout", activation="gelu"),
    "convnobias_pre_last": dict(stem="conv nobias", pool="last"),
    "conv_causal_last": dict(causal=True, pool="last"),
    "conv_pre_adaptive_two": dict(pool="adaptive", head="two", positions="sinusoidal"),
    "linear_post_cls": dict(stem="linear", norm_first=False, norm="after pooling", cls=True, pool="first"),
    "linear_pre_cls_tanh": dict(stem="linear", cls=True, pool="first", head="tanh", norm_in=True),
    "linear_pre_cls_sinus_mean": dict(stem="linear", cls=True, positions="sinusoidal"),
    "windows_pre_mean": dict(stem="windows", tokens=16, positions="embedding"),
    "windows2_post_mean": dict(stem="windows2", tokens=16, norm_first=False, norm_in=True, activation="gelu", norm=None),
    "unfold_pre_first": dict(stem="unfold", tokens=31, pool="first"),
    "embed_pre_max": dict(stem="embedding", activation="gelu", pool="max"),
    "embed_post_cls": dict(stem="embedding", norm_first=False, cls=True, pool="first", positions="embedding", norm=None),
    "embed_pre_maxnorm": dict(stem="embedding", pool="max", norm="after pooling", positions=None),
    "onehot_pre_mean": dict(stem="onehot", tokens=15),
    "own_chunk_tanh": dict(stem="linear", blocks=dict(form="chunk", gelu="tanh"), head="bn"),
    "own_split_erfparts": dict(blocks=dict(form="split", gelu="erf parts")),
    "own_slice_tanhparts": dict(stem="linear", blocks=dict(form="slice", gelu="tanh parts", order="post"), norm=None),
    "own_unbind_causal": dict(blocks=dict(form="unbind", causal=True), pool="last"),
    "own_interleaved": dict(blocks=dict(form="interleaved", gelu="relu"), head="two"),
    "own_separate": dict(blocks=dict(form="separate", gelu="tanh"), cls=True, stem="linear", pool="first"),
    "own_einsum": dict(blocks=dict(form="einsum"), positions=None),
    "own_sdpa_causal": dict(blocks=dict(form="sdpa", causal=True), pool="max"),
    "own_each": dict(blocks=dict(form="each"), stem="embedding"),
    "own_ffbn": dict(blocks=dict(form="split", batch_norm=True, gelu="relu")),
    "refused_no_norm": dict(blocks=dict(form="split", order="batch")),
    "refused_softmax": dict(head="softmax"),
}


def settle(model):
    """Numbers as training leaves them: no zeros and ones, so that nothing can be forgotten unnoticed."""
    for name, p in model.named_parameters():
        if p.dim() == 1:
            with torch.no_grad():
                p.add_(torch.randn_like(p) * 0.2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
    return model.eval()


def inputs(options, rows=20):
    stem, tokens = options.get("stem", "conv"), options.get("tokens", 32)
    if stem == "embedding" or stem == "onehot":
        return torch.randint(0, 16, (rows, 32))
    shape = {"conv": (rows, 2, 132), "linear": (rows, tokens, 2)}.get(stem.split()[0])
    if shape is None:
        shape = (rows, 128, 2) if stem == "windows2" else (rows, 256)
    return torch.randn(shape)


def without_traces(path):
    """Removes where in the source each node came from: the dynamo exporter writes paths of the machine."""
    graph = onnx.load(path, load_external_data=False)
    for item in [*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output]:
        del item.metadata_props[:]
    onnx.save(graph, path)


def main(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    for case, options in CASES.items():
        forms = {
            "dynamo": dict(dynamo=True, opset_version=20),
            "dynamo_dyn": dict(dynamo=True, opset_version=20, dyn=True),
            "dynamo_23": dict(dynamo=True, opset_version=23),
            "legacy": dict(dynamo=False, opset_version=20),
            "legacy_dyn": dict(dynamo=False, opset_version=17, dyn=True),
            "legacy_14": dict(dynamo=False, opset_version=14),
            "dynamo_half": dict(dynamo=True, opset_version=20, half=True),
            "dynamo_length": dict(dynamo=True, opset_version=20, length=True),
        }
        torch.manual_seed(sum(map(ord, case)))
        model = settle(Net(**options))
        x = inputs(options)
        for form, how in forms.items():
            name = f"{case}.{form}"
            if names and name not in names and case not in names:
                continue
            if "half" in form and case not in ("conv_pre_meannorm", "embed_pre_max"):
                continue
            if "length" in form and (options.get("positions", "learned") is not None or options.get("stem") == "windows"):
                continue
            batch = 1 if "14" in form or "23" in form else 2
            path = folder / f"{name}.onnx"
            how = dict(how)
            if how.pop("dyn", False):
                if how["dynamo"]:
                    how["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
                else:
                    how |= dict(input_names=["x"], dynamic_axes={"x": {0: "batch"}})
            exported, example = model, x[:batch]
            if how.pop("length", False):
                how["dynamic_shapes"] = ({1 if x.dim() == 2 else 2: torch.export.Dim("length", min=8)},)
            if how.pop("half", False):
                # The scores are those of the rounded weights, in 32 bits.
                model = model.half().float()
                exported = copy.deepcopy(model).half()
                example = example.half() if example.is_floating_point() else example
            try:
                torch.onnx.export(exported, (example,), str(path), verbose=False, **how)
            except Exception as error:
                print(f"{name}: not exported: {str(error).splitlines()[0][:150]}")
                continue
            without_traces(path)
            if "half" in form:
                with torch.no_grad():
                    np.savez(folder / f"{name}.npz", x=x.numpy(), scores=model(x).numpy())
                print(name)
                continue
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            key = session.get_inputs()[0].name
            chunks = [session.run(None, {key: x[i : i + batch].numpy()})[0] for i in range(0, len(x), batch)]
            np.savez(folder / f"{name}.npz", x=x.numpy(), scores=np.concatenate(chunks))
            print(name)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
