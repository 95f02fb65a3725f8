"""A pretrained language model over the texts of articles, fine-tuned on the distinct articles of a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import torch
from torch import Tensor, nn

from pyrec.data.articles import Articles
from pyrec.data.foreign import reading
from pyrec.errors import ConfigError, DataError
from pyrec.nn.dense import matrix, zeros
from pyrec.nn.dropout import Dropout
from pyrec.nn.kept_arrays import KeptArrays
from pyrec.nn.norm import Norm
from pyrec.nn.segments import Segments
from pyrec.nn.text.base import TEXT_SIZE, TextBatch, TextEncoder, TextInputs, TextModule
from pyrec.ops.product import product
from pyrec.options import Choice, Count, Options, Text
from pyrec.store.texts import text_arrays, texts_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

POOLS: Final = ("mean", "cls")
FILES: Final = ("config.json", "tokenizer.json")
AT_ONCE: Final = 256
"""Texts that are encoded at a time where nothing is learned."""


@dataclass(frozen=True, repr=False)
class Pretrained(TextEncoder):
    """A language model of Hugging Face, from a folder, and a dense layer; needs `pip install pyrec-graph[plm]`.

    Vectors are kept: a step learns from the articles of its batch whose vector is oldest, and takes the others as they
    were. The last layers are learned; dropout within the language model is off.

    Source: Xiao et al., "Training large-scale news recommenders with pretrained language models in the loop", KDD 2022
    (SpeedyFeed).

    Args:
        path: A folder with ``config.json``, ``tokenizer.json`` and ``model.safetensors``. Nothing is downloaded.
        size: Dimension of a text's vector.
        layers: How many of the model's layers are learned, the last ones; 0 for none.
        pool: Of the words' vectors: their ``mean``, or the first one's (``cls``).
        words: Words, or pieces of them, that count in a text.
        fresh: Articles that a step learns from at most.
        refresh: Steps for which a vector may be taken as it was.
    """

    name: ClassVar[str] = "pretrained"
    options: ClassVar[Options] = {
        "path": Text(optional=True, flag="--language-model", help="Folder of a pretrained language model."),
        "size": TEXT_SIZE,
        "layers": Count(
            low=0,
            high=256,
            flag="--text-layers",
            help="Layers of a language model that are learned, the last ones.",
        ),
        "pool": Choice(values=POOLS, flag="--language-pool", help="How its words become one vector."),
        "words": Count(
            low=2, high=512, flag="--language-words", help="Pieces of words that count in a text."
        ),
        "fresh": Count(low=1, flag="--language-fresh", help="Articles that a step learns from at most."),
        "refresh": Count(
            low=1, flag="--language-refresh", help="Steps for which a vector is taken as it was."
        ),
    }

    path: str | None = None
    size: int = 128
    layers: int = 2
    pool: str = "mean"
    words: int = 32
    fresh: int = 64
    refresh: int = 20

    def make(self, inputs: TextInputs) -> PretrainedModule:
        """See `TextEncoder.make`."""
        return PretrainedModule(self, inputs)

    def folder(self) -> Path:
        """Where the language model is.

        Raises:
            ConfigError: There is none.
            DataError: A file of it is absent.
        """
        if self.path is None:
            raise ConfigError(
                "text__path = None, but text = 'pretrained' needs the folder of a language model (--language-model)"
            )
        folder = Path(self.path)
        for name in (*FILES, "model.safetensors"):
            if not (folder / name).is_file():
                raise DataError(f"{folder / name} does not exist; give the folder of a Hugging Face model")
        return folder


class PretrainedModule(TextModule):
    """W^T pool(language model) + b.

    Attributes:
        language: The language model.
        files: Its configuration and its tokenizer, so that a saved model needs no folder.
        weight: (width, size) W.
        bias: (size,) b.
        kept: (num_articles, width) float32, the pooled vectors as they were last.
        since: (num_articles,) int64, the step of that; -1 for never.
        steps: () int64, those taken.
    """

    reads_words: ClassVar[bool] = False
    recordable: ClassVar[bool] = False
    kept: Tensor
    since: Tensor
    steps: Tensor
    indptr: Tensor
    pieces: Tensor

    def __init__(self, encoder: Pretrained, inputs: TextInputs) -> None:
        super().__init__()
        self.encoder, self.dim, self._view = encoder, encoder.size, inputs.view
        if inputs.saved is None:
            folder = encoder.folder()
            self.files = KeptArrays(
                text_arrays("json", [(folder / name).read_text("utf-8") for name in FILES])
            )
            self.language = _of_folder(folder)
        else:
            state = inputs.saved.under("files.")
            self.files = KeptArrays(text_arrays("json", texts_of(state, "json")))
            self.language = _of_config(texts_of(state, "json")[0])
        config: Any = self.language.config
        width, num_articles = int(config.hidden_size), len(inputs.articles.ids)
        _freeze(self.language, encoder.layers)
        self.weight, self.bias = matrix(width, encoder.size, inputs.generator), zeros(encoder.size)
        kept = torch.zeros(num_articles, width, dtype=torch.float32, device="cpu")
        self.register_buffer("kept", kept)
        self.register_buffer("since", _whole(num_articles) - 1)
        self.register_buffer("steps", _whole())
        self.register_buffer("indptr", _whole(1), persistent=False)
        self.register_buffer("pieces", _whole(0), persistent=False)
        self.add_articles(inputs.articles, 0)

    def add_articles(self, articles: Articles, first: int) -> None:
        """See `TextModule.add_articles`."""
        tokenizer = _tokenizer(texts_of(self.files.state(), "json")[1], self.encoder.words)
        texts: Sequence[str] = articles.titles if self._view == "title" else articles.abstracts
        rows = [one.ids for one in tokenizer.encode_batch(list(texts[first:]))]
        empty = [not text.strip() for text in texts[first:]]
        rows = [[] if none else row for row, none in zip(rows, empty, strict=True)]
        device = self.indptr.device
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64, device=device)
        pieces = torch.tensor([piece for row in rows for piece in row], dtype=torch.int64, device=device)
        start = self.indptr[first]
        self.indptr = torch.cat([self.indptr[: first + 1], start + lengths.cumsum(0)])
        self.pieces = torch.cat([self.pieces[: int(start)], pieces])

    def forward(self, texts: TextBatch, dropout: Dropout) -> Tensor:
        """See `TextModule.forward`; texts are known by their articles' rows."""
        rows = texts.rows
        if not dropout.training:
            with torch.no_grad():
                pooled = self._pooled(rows)
        else:
            pooled = self._with_kept(rows)
        there = (self.indptr[rows + 1] > self.indptr[rows]).to(pooled.dtype)
        return (product(dropout(pooled), self.weight) + self.bias) * there[:, None]

    def _with_kept(self, rows: Tensor) -> Tensor:
        """(num_articles, width), with gradients where a vector is made anew."""
        self.steps = self.steps + 1
        never = rows[self.since[rows] < 0]
        with torch.no_grad():
            self._keep(never, self._pooled(never))
        pooled = self.kept[rows]
        if not self.encoder.layers:
            return pooled
        age = self.steps - self.since[rows]
        fresh = torch.argsort(age, descending=True, stable=True)[: self.encoder.fresh]
        fresh = fresh[(age[fresh] >= self.encoder.refresh) | (age[fresh] == 0)]
        made = self._pooled(rows[fresh])
        self._keep(rows[fresh], made.detach())
        return pooled.index_copy(0, fresh, made)

    def _pooled(self, rows: Tensor) -> Tensor:
        """(len(rows), width), zeros for a text without words; texts that are about as long go together."""
        lengths = (self.indptr[1:] - self.indptr[:-1])[rows]
        parts = torch.split(torch.argsort(lengths, stable=True), AT_ONCE)
        if not len(rows):
            return self.kept[:0]
        made = [self._of_texts(Segments(self.indptr, self.pieces).take(rows[part])) for part in parts]
        return torch.cat(made)[torch.argsort(torch.cat(parts))]

    def _of_texts(self, texts: Segments) -> Tensor:
        lengths = texts.lengths
        longest = max(int(lengths.max()), 1)
        mask = torch.arange(longest, dtype=torch.int64, device=lengths.device) < lengths[:, None]
        pieces = torch.zeros(mask.shape, dtype=torch.int64, device=mask.device).masked_scatter(
            mask, texts.index
        )
        read = mask.clone()
        read[:, 0] = True  # a text without words; what comes of it does not count
        found: Tensor = self.language(input_ids=pieces, attention_mask=read.long()).last_hidden_state.float()
        if self.encoder.pool == "cls":
            return found[:, 0] * (lengths > 0)[:, None]
        total: Tensor = (found * mask[..., None]).sum(1)
        return total / lengths.clamp(min=1)[:, None]

    def _keep(self, rows: Tensor, pooled: Tensor) -> None:
        self.kept = self.kept.index_copy(0, rows, pooled)
        self.since = self.since.index_fill(0, rows, int(self.steps))


def _whole(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64, device="cpu")


def _transformers() -> Any:
    try:
        import tokenizers  # noqa: F401
        import transformers
    except ImportError as error:
        raise ConfigError(
            f"text = 'pretrained' needs {error.name}, which is not installed; pip install pyrec-graph[plm]"
        ) from None
    return transformers


def _of_folder(folder: Path) -> nn.Module:
    transformers = _transformers()
    with reading(f"{folder / 'model.safetensors'}"), torch.random.fork_rng([]), _quiet(transformers):
        model = transformers.AutoModel.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation="eager",
        )
    return _prepared(model)


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """A block without bars of progress."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _of_config(text: str) -> nn.Module:
    """A language model of that configuration, to be filled."""
    transformers = _transformers()
    with reading("the configuration of the language model"), torch.random.fork_rng([]):
        given = json.loads(text)
        config = transformers.AutoConfig.for_model(given.pop("model_type"), **given)
        model = transformers.AutoModel.from_config(
            config, trust_remote_code=False, dtype=torch.float32, attn_implementation="eager"
        )
    return _prepared(model)


def _prepared(model: Any) -> nn.Module:
    """Without dropout, and with norms whose gradients are the same at any number of threads."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.LayerNorm and child.elementwise_affine:
                setattr(module, name, Norm.like(child))
    evaluated: nn.Module = model.eval()
    return evaluated


def _freeze(model: Any, learned: int) -> None:
    """Keep all but the last layers as they are.

    Raises:
        ConfigError: There are not so many.
    """
    depth = int(model.config.num_hidden_layers)
    layers = next(
        (one for one in model.modules() if isinstance(one, nn.ModuleList) and len(one) == depth), None
    )
    if layers is None or learned > depth:
        raise ConfigError(
            f"text__layers = {learned}, but the language model has {depth} layers; give at most that"
        )
    for one in model.parameters():
        one.requires_grad_(False)
    for one in layers[depth - learned :].parameters():
        one.requires_grad_(True)


def _tokenizer(text: str, words: int) -> Tokenizer:
    _transformers()
    from tokenizers import Tokenizer

    with reading("tokenizer.json"):
        tokenizer = Tokenizer.from_str(text)
        tokenizer.no_padding()
        tokenizer.enable_truncation(words)
    return tokenizer
