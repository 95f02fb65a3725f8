"""Sound and nearly sound inputs to begin with: ``python tests/fuzz/seeds.py`` writes them to ``tests/fuzz/corpus/``."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from targets import ARRAYS, CONFIGS, EBNERD, MODELS, TARGETS

from pyrec.cli.sources import Source

CORPUS = Path(__file__).parent / "corpus"

ROWS = b"1\t10\t4\t100\n2\t10\t5\t200\n1\t20\t3\t300"
TEXTS = [
    ROWS,
    ROWS.replace(b"\t", b"::"),
    ROWS.replace(b"\t", b","),
    b"userId,movieId,rating,timestamp\n" + ROWS.replace(b"\t", b","),
    b"\xef\xbb\xbf1;10;4;1e2\r\n\r\n2;10;5;200",
    b'timestamp,ITEM,title,User-ID,score\n100,10,x,1,4\n200,10,"a, ""b""\nc",1,3',
    b"A3,0012,5\nB1,B00X,4",
    b"3 9 4\r\n\n0 4 \n7\n 3 5 9",
    b"1,2,nan\n9223372036854775808,1,inf\n-1,1e999,3",
    b"a\0b,c\n\xff\xfe,d",
    b"user,item,position,rating\n1,10,0,4\n1,20,-1,5\n2,10,1.5,1",
]

DEBIASED = [
    b"0,72,2\n0,136,4\n1,150,5\n2,72,1\n0,72,4\n1,9,2\n7,136,5",
    b"0,322,0,5\n0,110,1,0\n1,9,2,5\n2,1,3,0\n0,434,5\n0,488,1\n",
    b"1,5,1\n1,6,-1\n1,5,x\n1,6,1\n",
    b"0 0 5 0 0 0\n0 1 0 0 0 0\n0 0 0 0 4 0\n0 0 0 3 0 0\n",
]

MATRICES = [
    b"# a\n0 0 2.5\n1e-2 -3 0\n",
    b"0,0,2\n1,,3",
    b"1 2 3\n4 5",
    b"1 2\n\n 3\t4 \r\n",
    b"1 2\n3 nan\n4 1e39",
    b"1-2 3\n5 6",
]

FEATURES = [
    b'movieId,title,genres\n1,"Heat, the ""film""",Crime|Drama\n2,,',
    b"item_id:token\tclass:token_seq\tyear:float\n7\ta b\t1990\n8\t\t2.5e3",
    b"1\t0.5 1\n2\t3 4\n3\tnan",
]


BANDIT_LOGS = [
    b",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1\n0,x,7,3,0,0.5,ab,cd\n1,,0,1,1,1,,",
    b"context\taction\treward\tpscore\n1\t2\t-.5\t1e-9\n1\t3\tnan\t2",
    b"u,i,r,p,k\n1,2,1,.5,-1\n3,2,0,1,99999999",
]

MIND = [
    b'N2\tc\td\t"Two" more\t\tu\t[{"WikidataId": "Q1"}]\t[]\f2\tU2\t11/15/2019 12:00:00 PM\tN1 N2 N9\tN1-0 N2-1',
    b"\n \f\n\n2\tU2\t2/29/2019 1:00:00 AM\t\tN1-2",
    b"N1\ta\tb\tagain\t\tu\t[\t[]\f2\t\t1573808122\tN9\tN1 N9",
    b"N2\ta\f2\tU1\t11/15/2019 8:55:22 AM\tN1",
    b"\xff\0\f\xfe\t\t\t\t-1",
    b"id\ttitle\n1\tx\fuser\tcandidates\n2\t1",
]

NEWS_COLUMNS = [
    b'1,"One, ""two""",,a,"x,y",2024-03-01\n2,Two,,,,\f7,2024-03-01T00:00:00Z,1 2,"[2, 1]",2',
    b"1,One,,,,\f7,1e9,,1 9,1 0",
    b'1,"One\f,,,,',
    b"11\t5\t1 2\tOne\tTwo\f7\t1",
]

WORD_VECTORS = [b"\0one 1 2\nTwo 3 4", b"\x002 2\none 1 2 \n", b"\0one\n", b"\0one 1 nan"]

UNIFORM_SOURCE = json.dumps(
    {**Source(data="a", uniform="b").as_json(), "uniform_split": [0.1, "x", None]}
).encode()


def parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"user": [1, 2], "item": ["a", "b"], "rating": [1.0, 2.0]}), buffer)
    return buffer.getvalue()[4:]


def seeds(name: str) -> list[bytes]:
    if name == "chosen":
        dated = b"ann 13/07/2018 x\nbob 02/07/2018 y"
        return [bytes(7) + text for text in TEXTS] + [
            bytes([3, 2, 4, 0, 1, 1, block]) + dated for block in (0, 1)
        ]
    if name == "with_uniform":
        return [bytes(first) + text for text in DEBIASED for first in ((0, 0), (2, 1), (4, 2))]
    if name == "matrix":
        return [b"\0" + text for text in MATRICES] + [b"\1" + MATRICES[1]]
    if name == "events":
        return [first + text for text in TEXTS for first in (b"\0", b"\xff")]
    if name == "features":
        return [bytes([first]) + text for text in FEATURES for first in (0, 129, 2, 131)]
    if name == "bandit_log":
        return BANDIT_LOGS
    if name == "packed":
        with zipfile.ZipFile(archive := io.BytesIO(), "w") as opened:
            opened.writestr("log.csv", ROWS)
        zstd = pa.compress(ROWS, "zstd", asbytes=True)
        kinds = (
            gzip.compress(ROWS, mtime=0),
            bz2.compress(ROWS),
            lzma.compress(ROWS),
            zstd,
            archive.getvalue(),
        )
        return [b"\0" + content for content in (*kinds, *(content[:-7] for content in kinds))]
    if name == "parquet":
        return [parquet(), b"", b"PAR1"]
    if name == "mind":
        return [bytes([byte]) + text for text in MIND for byte in (0, 1, 3, 5, 65, 133)]
    if name == "news_columns":
        return [bytes([byte]) + text for text in NEWS_COLUMNS for byte in (0, 1, 3, 9, 13)]
    if name == "news_parquet":
        return [bytes([at]) + EBNERD[key][4:] for at, key in enumerate(sorted(EBNERD))] + [b"\1"]
    if name == "word_vectors":
        arrays = io.BytesIO()
        np.save(arrays, np.ones((2, 3), np.float32))
        return [*WORD_VECTORS, b"\1" + arrays.getvalue()[8:], b"\2", b"\3" + ARRAYS["ease"]]
    if name == "tokenizer":
        model = b'{"type": "WordLevel", "vocab": {"one": 0, "[UNK]": 1}, "unk_token": "[UNK]"}'
        return [b"One, two\n\n\xc3\x9cber \xff 1", b'{"version": "1.0", "model": %b}' % model, b"{}"]
    if name == "model_arrays":
        return [bytes([at, 0, 0]) + ARRAYS[model] for at, model in enumerate(sorted(MODELS))]
    if name == "model_config":
        return [CONFIGS["ease"], b"{}", b"[", b'{"format": 1}']
    if name == "model_parameters":
        whole = json.dumps(json.loads(CONFIGS["lightgcn"])["params"]).encode()
        loss = b'{"is": "softmax", "temperature": 0.1, "negatives": {"is": "uniform", "number": 2}}'
        augment = (
            b'[{"is": "contrast", "views": "noise"}, "edge-dropout", {"is": "extra-edges", "number": 0.5}]'
        )
        components = b'{"loss": %b, "augment": %b, "stopping": {"is": "early", "share": null}}' % (
            loss,
            augment,
        )
        flat = (
            b'{"loss": "bpr", "num_negatives": 3, "user_from": "items", "n_layers": 3, "contrast": "edges"}'
        )
        return [whole, b'{"seed": -1}', b"[]", components, flat]
    if name == "source":
        return [
            b'{"data": null, "train": "a", "test": "b", "min_rating": 4, "split": 0.8}',
            b"3",
            UNIFORM_SOURCE,
        ]
    return TEXTS


if __name__ == "__main__":
    for name in TARGETS:
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for at, seed in enumerate(seeds(name)):
            (folder / f"seed-{at}").write_bytes(seed)
