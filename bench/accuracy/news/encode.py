"""Vectors of articles by a language model, for the entry that takes them as they are.

    python -m bench.accuracy.news.encode DATA_FOLDER MODEL_FOLDER minilm.npz

A vector is the mean of the words' vectors of "title. abstract", of which 64 pieces of words count. MODEL_FOLDER is a
Hugging Face model, such as all-MiniLM-L6-v2; nothing is downloaded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec.data import read_news

WORDS: Final = 64
AT_ONCE: Final = 128


@torch.no_grad()
def encode(texts: list[str], folder: str) -> NDArray[np.float32]:
    """A vector for each text, float32 (n, width)."""
    from tokenizers import Tokenizer
    from transformers import AutoModel

    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(WORDS)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    found = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    by_length = np.argsort([len(text) for text in texts])
    for first in range(0, len(texts), AT_ONCE):
        chosen = by_length[first : first + AT_ONCE]
        pieces = tokenizer.encode_batch([texts[at] for at in chosen])
        mask = torch.tensor([one.attention_mask for one in pieces])
        words = model(torch.tensor([one.ids for one in pieces]), attention_mask=mask).last_hidden_state
        weight = mask[:, :, None] / mask.sum(1)[:, None, None]
        found[chosen] = (words * weight).sum(1).numpy()
    return found


def main(data: str, model: str, out: str) -> None:
    """Writes the file."""
    articles = read_news(data).train.articles
    texts = [
        f"{title}. {abstract}" for title, abstract in zip(articles.titles, articles.abstracts, strict=True)
    ]
    np.savez(out, ids=articles.ids, vectors=encode(texts, model))


if __name__ == "__main__":
    main(*sys.argv[1:])
