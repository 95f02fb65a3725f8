"""What a model is trained on, what chooses its epoch, and what it is measured on."""

from __future__ import annotations

from dataclasses import dataclass

from pyrec.cli.output import note
from pyrec.cli.sources import Source, describe, describe_debiasing
from pyrec.data import Dataset, Interactions, UniformParts
from pyrec.data.load import WithUniform
from pyrec.models import EpochRecommender, Recommender
from pyrec.models.uniform import learned_by, takes_likes_alone
from pyrec.models.validation import labelled


@dataclass(frozen=True)
class TrainingData:
    """The data of a run.

    Attributes:
        name: What they are called.
        train: The training part; all of DATA, with labels, where there is a uniform set.
        test: The test part, or that of the uniform set; None where all interactions are learned from.
        uniform: The parts of the uniform set, if there is one.
    """

    name: str
    train: Interactions
    test: Interactions | None
    uniform: UniformParts | None = None

    @classmethod
    def load(cls, source: Source) -> TrainingData:
        """Load them; errors as from the source."""
        if source.has_uniform:
            found = source.load_debiasing()
            test = found.uniform.test if len(found.uniform.test) else None
            return cls(found.name, found.interactions, test, found.uniform)
        if source.everything:
            return cls(*source.load_everything(), None)
        return cls(*source.load())

    @property
    def parts(self) -> list[Interactions]:
        """The training part and, if there is one, the test part."""
        return [self.train] if self.test is None else [self.train, self.test]

    def describe(self) -> str:
        """Return what there is to say about the data, a line each."""
        if self.uniform is None:
            return describe(self.name, self.train, self.test)
        return describe_debiasing(WithUniform(self.name, self.train, self.uniform))

    def learned_by(self, model: Recommender) -> Interactions | Dataset:
        """Return what the model's `fit` is given: of the uniform set the part to learn from, if it learns from one.

        Raises:
            DataError: If the model needs a uniform set and there is none.
        """
        if self.uniform is None and model.uniform != "needed":
            return self.train
        uniform = None if self.uniform is None or not len(self.uniform.train) else self.uniform.train
        return learned_by(model, self.train, uniform)

    def validation_of(self, model: Recommender) -> Interactions | None:
        """Return the uniform pairs that choose the model's epoch, if they do: pairs of one label alone cannot."""
        if self.uniform is None or model.uniform == "ignored" or not isinstance(model, EpochRecommender):
            return None
        return self.uniform.validation if labelled(self.uniform.validation) else None

    def note_uniform(self, model: Recommender) -> None:
        """Say what the model does with a uniform set."""
        if self.uniform is None:
            return
        if len(self.uniform.validation) and not labelled(self.uniform.validation):
            note(
                "note: the uniform validation part has one label alone, so it chooses and calibrates nothing"
            )
        if model.uniform == "ignored":
            note(f"note: {model.label} learns nothing from the uniform pairs; whole-mf and autodebias do")
        if takes_likes_alone(model):
            note("note: its loss learns from likes; --loss pointwise learns from the other labels, too")
