"""pyrec's models, read by pyrec's own readers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from lists_of import K

from pyrec import preset
from pyrec.data import read_pair
from pyrec.models import MODELS


def main(folder: Path, out: str, params: str) -> None:
    """As `lists_of.keep`; a user's line in the test file is a row."""
    given = json.loads(params)
    train, test = read_pair(folder / "train.txt", folder / "test.txt")
    if "preset" in given:
        model = preset(given["preset"], train).model
    else:
        model = MODELS[given.pop("model")]().set_params(**given)
    model.fit(train)
    users = np.flatnonzero(np.diff(test.indptr))
    ids = model.topk(users.astype(np.int32), K)[0].numpy()
    named = np.where(ids < 0, -1, train.item_ids[np.maximum(ids, 0)])
    of_user = dict(zip(test.user_ids[users].tolist(), named, strict=True))
    lines = [int(line.split()[0]) for line in (folder / "test.txt").read_text().splitlines()]
    np.save(out, np.stack([of_user.get(user, np.full(K, -1)) for user in lines]).astype(np.int32))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
