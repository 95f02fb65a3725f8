"""AutoDebias as it was published, in plain torch: every pair of a block, and the gradient through the virtual step.

Source: Chen et al., "AutoDebias: learning to debias for recommendation", SIGIR 2021.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Debias:
    """Parameters and data of the published algorithm; `step` takes one block.

    Attributes:
        theta: p (num_users, dim), q (num_items, dim), b of users and of items.
        parameter: The parts of φ, ψ and χ, by the names of `pyrec.ops.debias.PARTS`.
        pairs: (2, n) int64, users and items of the observed pairs; positive: (n,) bool; position: (n,) int64 or None.
        weight: (n,) of the pairs; None for 1.
        uniform: (2, n') int64 and their labels ±1.
        eta, lam, reg: As in `pyrec.ops.debias`.
        rates, decays: Of Adam, by part.
        learned: The parts that learn.
        bound: Of |φ| and |ψ|.
    """

    theta: list[Tensor]
    parameter: dict[str, Tensor]
    pairs: Tensor
    positive: Tensor
    position: Tensor | None
    weight: Tensor | None
    uniform: tuple[Tensor, Tensor]
    eta: float
    lam: float
    reg: float
    rates: dict[str, float]
    decays: dict[str, float]
    learned: set[str]
    bound: float = float("inf")
    loss: float = 0.0
    _adam: dict[str, Any] = field(default_factory=dict)

    def step(self, users: Tensor, items: Tensor) -> None:
        """One block: a virtual step, one of φ, ψ and χ, and a real one."""
        phi = {name: one.clone().requires_grad_() for name, one in self.parameter.items()}
        theta = [one.clone().requires_grad_() for one in self.theta]
        moved = self._moved(theta, phi, users, items, create_graph=True)
        ends, label = self.uniform
        uniform_loss = ((self._score(moved, ends[0], ends[1]) - label) ** 2).sum()
        names = [name for name in phi if name in self.learned]
        learned = [phi[name] for name in names]
        grads = torch.autograd.grad(uniform_loss, learned, allow_unused=True) if learned else ()
        for name, grad in zip(names, grads, strict=True):
            self._learn(name, torch.zeros_like(phi[name]) if grad is None else grad)
        fixed = {name: one.clone() for name, one in self.parameter.items()}
        self.theta = [one.detach() for one in self._moved(theta, fixed, users, items, create_graph=False)]

    def _moved(
        self, theta: list[Tensor], phi: dict[str, Tensor], users: Tensor, items: Tensor, create_graph: bool
    ) -> list[Tensor]:
        loss = self._block_loss(theta, phi, users, items)
        self.loss = float(loss.detach())
        grads = torch.autograd.grad(loss, theta, create_graph=create_graph)
        return [one - self.eta * grad for one, grad in zip(theta, grads, strict=True)]

    def _block_loss(
        self, theta: list[Tensor], phi: dict[str, Tensor], users: Tensor, items: Tensor
    ) -> Tensor:
        of_user, of_item = self.pairs
        inside = torch.isin(of_user, users) & torch.isin(of_item, items)
        u, i, positive = of_user[inside], of_item[inside], self.positive[inside].long()
        exponent = phi["pair_user"][u] + phi["pair_item"][i] + phi["pair_label"][positive]
        if self.position is not None:
            exponent = exponent + phi["pair_position"][self.position[inside]]
        w1 = (exponent / 5).exp()
        if self.weight is not None:
            w1 = w1 * self.weight[inside]
        observed = (w1 * (self._score(theta, u, i) - (2 * positive - 1)) ** 2).sum()
        shown = torch.zeros(len(self.theta[0]), len(self.theta[1]), dtype=torch.int64)
        shown[of_user, of_item] = 1 + self.positive.long()
        all_users, all_items = torch.cartesian_prod(users, items).T
        kind = shown[all_users, all_items]
        exponent = phi["whole_user"][all_users] + phi["whole_item"][all_items]
        w2 = ((exponent + phi["whole_observed"][kind.clamp(max=1)]) / 5).exp()
        whole = (w2 * (self._score(theta, all_users, all_items) - phi["imputed"][kind].tanh()) ** 2).sum()
        size = (theta[0][users] ** 2).sum() + (theta[1][items] ** 2).sum()
        return observed + self.lam * whole + self.reg / 2 * size

    @staticmethod
    def _score(theta: list[Tensor], users: Tensor, items: Tensor) -> Tensor:
        p, q, of_user, of_item = theta
        return (p[users] * q[items]).sum(1) + of_user[users] + of_item[items]

    def _learn(self, name: str, grad: Tensor) -> None:
        """A step of torch's own Adam."""
        if name not in self._adam:
            parameter = self.parameter[name].clone().requires_grad_()
            adam = torch.optim.Adam([parameter], lr=self.rates[name], weight_decay=self.decays[name])
            self._adam[name] = parameter, adam
        parameter, adam = self._adam[name]
        parameter.grad = grad
        adam.step()
        if name != "imputed":
            parameter.data.clamp_(-self.bound, self.bound)
        self.parameter[name] = parameter.detach().clone()
