"""Labels of pairs that are not observed, from a model of the uniform set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pyrec.errors import ConfigError
from pyrec.nn.encoder import Encoder
from pyrec.options import Count, Number, Options
from pyrec.train.loss import Loss
from pyrec.train.memory import Memory, Sizes
from pyrec.train.reweight.base import GROUP, Reweight, imputes


@dataclass(frozen=True, repr=False)
class Bridge(Reweight):
    """A teacher that is fitted on the uniform set alone gives the pairs that a user has not their labels.

    The teacher is a `WholeMF`, small as its data are. The model learns its own labels and, of sampled pairs that are
    not observed, the teacher's: the bridge from the uniform set to a model of all items.

    Source: Liu et al., "A general knowledge distillation framework for counterfactual recommendation via uniform data",
    SIGIR 2020, the label-based bridge, with a teacher that is held.

    Args:
        teacher_size: Dimension of the teacher's embeddings.
        teacher_reg: The teacher's penalty.
    """

    name: ClassVar[str] = "bridge"
    options: ClassVar[Options] = {
        **Reweight.options,
        "teacher_size": Count(low=1, high=500, group=GROUP, help="Dimension of the teacher's embeddings."),
        "teacher_reg": Number(group=GROUP, help="The teacher's penalty.", search=(1e-2, 1e2)),
    }

    teacher_size: int = 4
    teacher_reg: float = 1.0

    def check_for(self, loss: Loss, encoder: Encoder) -> None:
        """See `Reweight.check_for`."""
        if not imputes(loss):
            raise ConfigError(
                "reweight = 'bridge' gives labels to pairs that are not observed, which the loss has none of; use "
                "loss = 'pointwise' with uniform negatives"
            )

    def memory(self, sizes: Sizes, num_uniform: int) -> Memory:
        """The teacher's vectors, and those of a batch's pairs."""
        width = 4 * (self.teacher_size + 2)
        return Memory(kept=width * sizes.num_nodes, step=2 * width * sizes.batch_nodes)
