"""The causal LPPN as a step of a stream: the samples of one hop and what the network remembers in, the
hop's answers and what it remembers then out. No layer is computed twice, and the answers are those that one
window over the whole stream would give.

What is remembered are the last frames before each convolution. All that come out of a ReLU6 travel in one
tensor "state": int8 then has one scale for them, and the station two tensors to hand on rather than
fifteen. The sums before the first doubling have another scale and a tensor of their own, "sums"; of the
samples themselves the caller hands over the last ones again.
"""

from math import prod
from typing import Any

import keras
from keras import layers, ops

from zoo.pickers.lppn import WIDE_KERNEL, LPPNConfig, features, heads, silence

BEFORE = WIDE_KERNEL - 2
"""Samples before the hop that the first convolution reads."""
SAMPLES, SUMS = "b1", "up1"
"""The convolutions that read no ReLU6."""
MOST_JOINED = 10
"""Tensors that one CONCATENATION of TFLite Micro takes."""


class _Sizes:
    """A memory that only notes how much would have to be remembered, for hops of so many samples."""

    def __init__(self, hop: int) -> None:
        self.shapes: dict[str, tuple[int, int]] = {}
        self.samples = 0  # back to which all of it together reaches, at most
        self._hop = hop

    def __call__(self, x: Any, frames: int, name: str) -> Any:
        self.shapes[name] = frames, x.shape[-1]
        self.samples += frames * self._hop // x.shape[2]
        return silence(x, frames, name)


class _Carried:
    """The memory of a stream: frames come out of what was remembered, and the last ones go on."""

    def __init__(self, shapes: dict[str, tuple[int, int]], state: Any, sums: Any) -> None:
        self._shapes, self._state, self._sums = shapes, state, sums
        self._taken = 0
        self._kept: list[Any] = []
        self.next_sums: Any = None

    def __call__(self, x: Any, frames: int, name: str) -> Any:
        if name == SAMPLES:
            return x
        shape = self._shapes[name]
        if name == SUMS:
            both = layers.Concatenate(axis=2, name=f"{name}_past")([self._sums, x])
            self.next_sums = both[:, :, -frames:]
            return both
        size = prod(shape)
        past = ops.reshape(self._state[..., self._taken : self._taken + size], (-1, 1, *shape))
        self._taken += size
        both = layers.Concatenate(axis=2, name=f"{name}_past")([past, x])
        self._kept.append(ops.reshape(both[:, :, -frames:], (-1, 1, 1, size)))
        return both

    def next_state(self) -> Any:
        """All that came out of a ReLU6, in the order in which it was asked for."""
        some = [self._kept[k : k + MOST_JOINED] for k in range(0, len(self._kept), MOST_JOINED)]
        parts = [layers.Concatenate(axis=-1, name=f"state_pack{k}")(kept) for k, kept in enumerate(some)]
        return layers.Concatenate(axis=-1, name="state_pack")(parts)


def _sizes(config: LPPNConfig, hop: int) -> _Sizes:
    sizes = _Sizes(hop)
    features(keras.Input((1, hop, 3)), config, sizes)
    return sizes


def memory(config: LPPNConfig) -> int:
    """Samples before a hop that count in the answers of a causal network, none before them."""
    return _sizes(config, config.T).samples


def build_stream(config: LPPNConfig, hop: int, batch: int | None = None) -> keras.Model:
    """{"x": [batch, 1, BEFORE + hop, 3], the hop's samples behind the last ones before it; "state" [batch,
    1, 1, N]; "sums" [batch, 1, 2, channels]} to {"cls": [batch, delays, hop/S, 3]; "ofs": [batch, delays,
    hop/S, 1]; "next_state", "next_sums"}. Frame i of a head answers for the cell `delay` before it. Weights
    have the names that they have in `build`. A stream begins with zeros in all of them.

    ValueError where the network is not causal, is not in polyphase form, or the hop is no multiple of 8 S.
    """
    if not config.causal or config.upsampling != "polyphase":
        raise ValueError("only a causal network in polyphase form can be streamed")
    if hop < 1 or hop % (8 * config.S):
        raise ValueError(f"the hop must be a multiple of 8·S = {8 * config.S} samples, not {hop}")
    sizes = _sizes(config, hop)
    remembered = sum(prod(shape) for name, shape in sizes.shapes.items() if name not in (SAMPLES, SUMS))
    x = keras.Input((1, BEFORE + hop, 3), batch_size=batch, name="x")
    state = keras.Input((1, 1, remembered), batch_size=batch, name="state")
    sums = keras.Input((1, *sizes.shapes[SUMS]), batch_size=batch, name="sums")
    carried = _Carried(sizes.shapes, state, sums)
    outputs = heads(features(x, config, carried), config, shifted=False)
    outputs |= {"next_state": carried.next_state(), "next_sums": carried.next_sums}
    return keras.Model({"x": x, "state": state, "sums": sums}, outputs, name=f"lppn_n{config.n}_stream")
