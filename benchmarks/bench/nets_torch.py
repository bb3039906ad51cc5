"""Architectures of PhaseNet (Zhu & Beroza 2019) and EQTransformer (Mousavi et al. 2020) in PyTorch, in which
SeisBench runs both; with random weights: for time, not for picks."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW = 3000
_UNITS = 32


class PhaseNet(nn.Module):
    """[b, 3, 3000] to probabilities of the same shape; 268,443 parameters."""

    def __init__(self, root: int = 8, depth: int = 5, taps: int = 7, stride: int = 4) -> None:
        super().__init__()
        widths = [root * 2**level for level in range(depth)]
        half = taps // 2
        self.enter = _unit(nn.Conv1d(3, root, taps, padding=half), root)
        self.same = nn.ModuleList(
            _unit(nn.Conv1d(before, width, taps, padding=half, bias=False), width)
            for before, width in pairwise([root, *widths])
        )
        self.down = nn.ModuleList(
            _unit(nn.Conv1d(width, width, taps, stride, padding=half, bias=False), width)
            for width in widths[:-1]
        )
        self.up = nn.ModuleList(
            _unit(nn.ConvTranspose1d(2 * width, width, taps, stride, bias=False), width)
            for width in widths[-2::-1]
        )
        self.joined = nn.ModuleList(
            _unit(nn.Conv1d(2 * width, width, taps, padding=half, bias=False), width)
            for width in widths[-2::-1]
        )
        self.out = nn.Conv1d(root, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        beside = []
        for same, down in zip(self.same, [*self.down, None], strict=True):
            x = same(x)
            if down is not None:
                beside.append(x)
                x = down(x)
        for up, joined, skip in zip(self.up, self.joined, reversed(beside), strict=True):
            x = up(x)[..., : skip.shape[-1]]
            x = joined(torch.cat([skip, x], dim=1))
        return torch.softmax(self.out(x), dim=1)


class EQTransformer(nn.Module):
    """[b, 3, 3072] to three probabilities [b, 3, 3072] of detection, P and S; 376,935 parameters. Made for
    windows of 60 s, here half as long."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential()
        for (before, width), taps in zip(
            pairwise([3, 8, 16, 16, 32, 32, 64, 64]), (11, 9, 7, 7, 5, 5, 3), strict=True
        ):
            self.encoder += nn.Sequential(
                nn.Conv1d(before, width, taps, padding=taps // 2), nn.ReLU(), nn.MaxPool1d(2)
            )
        self.residual = nn.ModuleList(_residual(taps) for taps in (3, 3, 3, 3, 2, 3, 2))
        self.memory = nn.ModuleList(_Recurrent(before) for before in (64, 16, 16))
        self.attention = nn.ModuleList(_Transformer() for _ in range(2))
        self.recall = nn.ModuleList(nn.LSTM(16, 16, batch_first=True) for _ in range(2))
        self.nearby = nn.ModuleList(_Attention(width=3) for _ in range(2))
        self.decoders = nn.ModuleList(_decoder() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(x)
        for block in self.residual:
            x = x + block(x)[..., : x.shape[-1]]
        x = x.transpose(1, 2)
        for part in (*self.memory, *self.attention):
            x = part(x)
        branches = [x] + [near(recall(x)[0]) for recall, near in zip(self.recall, self.nearby, strict=True)]
        answers = [decode(one.transpose(1, 2)) for decode, one in zip(self.decoders, branches, strict=True)]
        return torch.cat(answers, dim=1)


class _Recurrent(nn.Module):
    def __init__(self, before: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(before, 16, batch_first=True, bidirectional=True)
        self.shrink, self.norm = nn.Linear(32, 16), nn.BatchNorm1d(16)

    def forward(self, x: Tensor) -> Tensor:
        shrunk = self.shrink(self.lstm(x)[0]).transpose(1, 2)
        normed: Tensor = self.norm(shrunk)
        return normed.transpose(1, 2)


class _Attention(nn.Module):
    """Additive attention over all frames, or over `width` around each."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__()
        self.asks, self.offers = nn.Linear(16, _UNITS, bias=False), nn.Linear(16, _UNITS)
        self.weigh = nn.Linear(_UNITS, 1)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        both = torch.tanh(self.asks(x)[:, :, None] + self.offers(x)[:, None])
        weight = torch.exp(self.weigh(both)[..., 0])
        if self.width is not None:
            frames = torch.arange(x.shape[1])
            weight = weight * ((frames[:, None] - frames[None]).abs() <= self.width // 2)
        return (weight / weight.sum(dim=-1, keepdim=True)) @ x


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend, self.norm1, self.norm2 = _Attention(), nn.LayerNorm(16), nn.LayerNorm(16)
        self.forth, self.back = nn.Linear(16, 128), nn.Linear(128, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.attend(x))
        out: Tensor = self.norm2(x + self.back(functional.relu(self.forth(x))))
        return out


def _unit(conv: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm1d(width, eps=1e-3), nn.ReLU())


def _residual(taps: int) -> nn.Sequential:
    half: list[nn.Module] = []
    for _ in range(2):
        half += [nn.BatchNorm1d(64), nn.ReLU(), nn.Conv1d(64, 64, taps, padding=taps // 2)]
    return nn.Sequential(*half)


def _decoder() -> nn.Sequential:
    layers: list[nn.Module] = []
    for (before, width), taps in zip(
        pairwise([16, 64, 64, 32, 32, 16, 16, 8]), (3, 5, 5, 7, 7, 9, 11), strict=True
    ):
        layers += [nn.Upsample(scale_factor=2), nn.Conv1d(before, width, taps, padding=taps // 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv1d(8, 1, 11, padding=5), nn.Sigmoid())
