"""Text and reader encoders as their papers write them: padded, masked, in plain torch; parameters come by name.

Words of texts are (A, L, E) with a mask (A, L), clicks (S, H, D) with a mask (S, H), candidates (C, D), each with the
row of its reader in ``owners`` (C,).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

Parameters = Mapping[str, Tensor]


def inner(parameters: Parameters, name: str) -> dict[str, Tensor]:
    """Those of a module within."""
    return {key[len(name) + 1 :]: one for key, one in parameters.items() if key.startswith(name + ".")}


def padded(rows: Tensor, indptr: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Segments side by side, (S, longest, ...), and which places hold something."""
    lengths = indptr.diff()
    longest = max(int(lengths.max()), 1)
    mask = torch.arange(longest) < lengths[:, None]
    out = rows.new_zeros(*mask.shape, *rows.shape[1:])
    return out.masked_scatter(mask[..., None].expand_as(out), rows[index]), mask


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Over the last axis; zeros where nothing is there."""
    alpha = torch.softmax(scores.masked_fill(~mask, -torch.inf), -1)
    return torch.where(mask, alpha, 0.0)


def additive(x: Tensor, mask: Tensor, p: Parameters) -> Tensor:
    """sum_i softmax_i(v . tanh(W x_i + b)) x_i."""
    scores = torch.tanh(x @ p["weight"].T + p["bias"]) @ p["vector"]
    return (softmax(scores, mask)[..., None] * x).sum(-2)


def self_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, heads: int) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V of each head, side by side."""
    parts = []
    for one in zip(*(each.chunk(heads, -1) for each in (q, k, v)), strict=True):
        scores = one[0] @ one[1].transpose(-1, -2) / math.sqrt(one[0].shape[-1])
        parts.append(softmax(scores, mask[..., None, :].expand_as(scores)) @ one[2])
    return torch.cat(parts, -1)


def convolution(x: Tensor, mask: Tensor, filters: Tensor, bias: Tensor) -> Tensor:
    """torch's own convolution along the second axis, with zeros beyond the ends."""
    size = len(bias)
    window = filters.shape[1] // size
    kernel = filters.view(-1, window, size).permute(2, 0, 1)  # (out, in, window)
    found = functional.conv1d((x * mask[..., None]).transpose(1, 2), kernel, bias, padding=window // 2)
    return found.transpose(1, 2)


# Texts.


def text_attention(p: Parameters, x: Tensor, mask: Tensor, heads: int) -> Tensor:
    attended = self_attention(*(x @ p["projection"]).chunk(3, -1), mask, heads)
    return additive(attended, mask, inner(p, "pooling"))


def text_cnn(p: Parameters, x: Tensor, mask: Tensor) -> Tensor:
    found = torch.relu(convolution(x, mask, p["filters"], p["bias"]))
    return additive(found, mask, inner(p, "pooling"))


def text_pooling(p: Parameters, x: Tensor, mask: Tensor) -> Tensor:
    return additive(x, mask, inner(p, "pooling")) @ p["projection"]


def text_transformer(p: Parameters, x: Tensor, mask: Tensor, heads: int, layers: int) -> Tensor:
    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"])

    x = x @ p["projection"] + p["places"][: x.shape[1]]
    for at in range(layers):
        block = inner(p, f"blocks.{at}")
        qkv = (norm(x, f"blocks.{at}.first") @ block["qkv"]).chunk(3, -1)
        x = x + self_attention(*qkv, mask, heads) @ block["out"]
        hidden = functional.gelu(norm(x, f"blocks.{at}.second") @ block["up"] + block["up_bias"])
        x = x + hidden @ block["down"] + block["down_bias"]
    return additive(norm(x, "norm"), mask, inner(p, "pooling"))


# Readers.


def absent(p: Parameters, mask: Tensor) -> Tensor:
    return (~mask.any(1))[:, None] * p["absent"]


def scored(readers: Tensor, candidates: Tensor) -> Tensor:
    return (readers * candidates).sum(-1)


def reader_attention(
    p: Parameters, x: Tensor, mask: Tensor, candidates: Tensor, owners: Tensor, heads: int
) -> Tensor:
    attended = self_attention(*(x @ p["projection"]).chunk(3, -1), mask, heads)
    readers = additive(attended, mask, inner(p, "pooling")) + absent(p, mask)
    return scored(readers[owners], candidates)


def reader_pooling(p: Parameters, x: Tensor, mask: Tensor, candidates: Tensor, owners: Tensor) -> Tensor:
    readers = additive(x, mask, inner(p, "pooling")) + absent(p, mask)
    return scored(readers[owners], candidates)


def reader_candidate(p: Parameters, x: Tensor, mask: Tensor, candidates: Tensor, owners: Tensor) -> Tensor:
    beside = torch.cat([candidates[:, None].expand(-1, x.shape[1], -1), x[owners]], -1)
    weight = torch.cat([p["of_candidate"], p["of_click"]])
    alpha = softmax(torch.relu(beside @ weight + p["bias"]) @ p["vector"], mask[owners])
    readers = (alpha[..., None] * x[owners]).sum(1) + absent(p, mask)[owners]
    return scored(readers, candidates)


def reader_long_short(
    p: Parameters,
    x: Tensor,
    mask: Tensor,
    candidates: Tensor,
    owners: Tensor,
    ids: Tensor,
    join: str,
    recent: int,
) -> Tensor:
    """torch's own recurrent unit over the latest clicks of each reader, one reader at a time."""
    of_ids = torch.where(ids[:, None] >= 0, p["ids"][ids.clamp(min=0)], 0.0)
    count = mask.sum(1, keepdim=True).clamp(min=1)
    long = ((x * mask[..., None]).sum(1) / count) @ p["projection"] + of_ids
    unit = inner(p, "unit")
    size = unit["recurrent"].shape[0]
    weights = [unit["weight"].T, unit["recurrent"].T, unit["bias"], unit["recurrent_bias"]]
    readers = []
    for clicks, there, start in zip(x, mask, long, strict=True):
        state = start[None] if join == "ini" else x.new_zeros(1, size)
        for click in clicks[there][-recent:]:
            state = torch.gru_cell(click[None], state, *weights)
        readers.append(state if join == "ini" else torch.cat([state, start[None]], 1))
    return scored((torch.cat(readers) + absent(p, mask))[owners], candidates)


def reader_interests(
    p: Parameters,
    x: Tensor,
    mask: Tensor,
    candidates: Tensor,
    owners: Tensor,
    score: str,
    categories: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """``categories``: those of clicks (S, H) and of candidates (C,), where they count; -1 for none."""
    hidden = torch.tanh(x @ p["weight"].T + p["bias"]) if "weight" in p else x
    logits = (hidden @ p["vector"].T)[owners]  # (C, H, K)
    if categories is not None:
        clicked, asked = categories[0][owners], categories[1][:, None]
        like = functional.cosine_similarity(p["categories"][clicked], p["categories"][asked], dim=-1)
        logits = logits + (p["scale"] * like * ((clicked >= 0) & (asked >= 0)))[..., None]
    alpha = softmax(logits.transpose(1, 2), mask[owners][:, None].expand(-1, logits.shape[2], -1))
    readers = alpha @ x[owners] + absent(p, mask)[owners][:, None]  # (C, K, D)
    scores = (readers @ candidates[..., None])[..., 0]
    if score == "max":
        return scores.max(1).values
    if score == "mean":
        return scores.mean(1)
    weights = torch.softmax((functional.gelu(readers @ p["of_interest"]) @ candidates[..., None])[..., 0], 1)
    return (weights * scores).sum(1)


def reader_candidate_self_attention(
    p: Parameters, x: Tensor, mask: Tensor, candidates: Tensor, owners: Tensor, heads: int
) -> Tensor:
    x, own, there = x[owners], candidates[:, None], mask[owners]
    q, k, v = (x @ p["qkv"]).chunk(3, -1)
    attended = self_attention(q + own @ p["query"], k, v, there, heads)
    convolved = torch.relu(convolution(x, there, p["filters"], p["filter_bias"]) + own @ p["of_candidate"])
    mixed = torch.cat([convolved, attended], -1) @ p["join"]
    beside = torch.tanh(own @ p["by_candidate"] + mixed @ p["by_click"] + p["bias"])
    alpha = softmax(beside @ p["vector"], there)
    return scored((alpha[..., None] * mixed).sum(1) + absent(p, mask)[owners], candidates)
