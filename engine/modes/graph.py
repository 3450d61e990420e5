"""The UNet's step as CUDA graphs: one launch in place of thousands, which see every new LoRA.

A graph repeats what the GPU did with the addresses that it had. Weights are merged in place, so
they keep theirs, and what is replayed after a switch reads the new ones.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from engine.errors import EngineError
from engine.host_memory import is_out_of_memory
from engine.protocol.modes import ModeChoice, moves_unet

log = logging.getLogger(__name__)

MOST_BYTES = 2 << 30
"""Of the GPU, for what graphs compute with; the graphs of the longest unused sizes make room."""

MOST_MOVES = 3
"""How often weights may be found elsewhere before graphs are not worth their capturing."""

Call = Callable[..., Any]
Key = tuple[object, ...]


class Graph(Protocol):
    """One captured run, with the memory that its inputs and its output have."""

    inputs: Sequence[torch.Tensor]
    output: torch.Tensor
    bytes: int

    def replay(self) -> None:
        """Do on the GPU once more what was captured."""


Capture = Callable[[Call, Sequence[torch.Tensor]], Graph]
"""Captures a function of tensors."""


class GraphedForward:
    """A UNet's `forward` that is captured at the first run of each size, and replayed from then on.

    Sizes, batches, dtypes and what else stands beside the tensors make the key. Where gradients or
    an object are wanted, or inputs lie elsewhere, the plain forward runs. It turns itself off where
    capturing fails, and where weights come and go.
    """

    def __init__(
        self, unet: nn.Module, capture: Capture | None = None, limit: int = MOST_BYTES
    ) -> None:
        self._unet = unet
        self._plain: Call = unet.forward
        self._capture = capture_on_gpu if capture is None else capture
        self._limit = limit
        self._graphs: OrderedDict[Key, Graph] = OrderedDict()
        self._addresses: tuple[int, ...] = ()
        self._moves = 0
        self.is_on = True
        """Whether graphs are used."""

    @property
    def bytes(self) -> int:
        """Bytes of the GPU that the graphs hold."""
        return sum(graph.bytes for graph in self._graphs.values())

    def clear(self) -> None:
        """Give all graphs and their memory up."""
        self._graphs.clear()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tensors: list[torch.Tensor] = []
        shape = _taken_apart((args, kwargs), tensors)
        if not self._suits(kwargs, tensors):
            return self._plain(*args, **kwargs)
        self._forget_if_moved()
        key = shape, self._unet.training, *((t.shape, t.dtype, t.device) for t in tensors)
        graph = self._graphs.pop(key, None) or self._captured(shape, tensors)
        if graph is None:
            return self._plain(*args, **kwargs)
        self._graphs[key] = graph
        for target, tensor in zip(graph.inputs, tensors, strict=True):
            target.copy_(tensor)
        graph.replay()
        # The next replay writes into the same memory.
        return (graph.output.clone(),)

    def _suits(self, kwargs: Mapping[str, object], tensors: Sequence[torch.Tensor]) -> bool:
        """Whether this run can be captured."""
        if not self.is_on or torch.is_grad_enabled() or kwargs.get("return_dict") is not False:
            return False
        device = next(self._unet.parameters()).device
        return all(tensor.device == device for tensor in tensors)

    def _forget_if_moved(self) -> None:
        """Drop graphs that would read where weights were: a move is no switch of LoRAs."""
        addresses = tuple([p.data_ptr() for p in self._unet.parameters()])
        if addresses != self._addresses:
            self._moves += bool(self._graphs)
            self.clear()
            self._addresses = addresses
        if self._moves > MOST_MOVES:
            self.is_on = False
            log.warning("the UNet's weights come and go: it is drawn without CUDA graphs")

    def _captured(self, shape: object, tensors: Sequence[torch.Tensor]) -> Graph | None:
        """Capture the plain forward for inputs like these; None, and off, where it fails."""

        def run(*inputs: torch.Tensor) -> torch.Tensor:
            args, kwargs = _put_together(shape, iter(inputs))
            output: torch.Tensor = self._plain(*args, **kwargs)[0]
            return output

        if not self.is_on:
            return None
        try:
            graph = self._capture(run, tensors)
            self._make_room(graph.bytes)
            return graph
        except (RuntimeError, ValueError) as error:
            self.clear()
            if is_out_of_memory(error):
                log.warning("no memory for a CUDA graph of this size; it is drawn without")
            else:
                self.is_on = False
                log.warning("the UNet cannot be captured as a CUDA graph: %s", error)
            return None

    def _make_room(self, needed: int) -> None:
        while self._graphs and self.bytes + needed > self._limit:
            self._graphs.popitem(last=False)


class _CudaGraph:
    """A graph of PyTorch's, in memory of its own."""

    def __init__(self, run: Call, tensors: Sequence[torch.Tensor]) -> None:
        device = tensors[0].device
        self.inputs: Sequence[torch.Tensor] = [tensor.clone() for tensor in tensors]
        with torch.cuda.device(device):
            self._try(run)
            before = torch.cuda.memory_reserved(device)
            self._graph = torch.cuda.CUDAGraph()
            # What other threads ask of the GPU meanwhile, such as pinned memory, is none of it.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self.output: torch.Tensor = run(*self.inputs)
            self.bytes = torch.cuda.memory_reserved(device) - before

    def _try(self, run: Call) -> None:
        """Let libraries choose and set up what they need, which cannot be captured."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            run(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)

    def replay(self) -> None:
        self._graph.replay()


def capture_on_gpu(run: Call, tensors: Sequence[torch.Tensor]) -> Graph:
    """Capture a function of tensors on their GPU; raises `RuntimeError` where that cannot be."""
    if tensors[0].device.type != "cuda":
        raise ValueError("only a GPU of NVIDIA or AMD has graphs")
    return _CudaGraph(run, tensors)


def require_graphs(mode: ModeChoice, device: str) -> None:
    """Raise `EngineError` where the UNet's steps cannot be graphs."""
    if not device.startswith("cuda"):
        raise EngineError(
            f"CUDA graphs need a GPU of NVIDIA or AMD, and the model is to be opened on {device}; "
            "open it without them (--compile off)."
        )
    if moves_unet(mode):
        raise EngineError(
            f"The mode {mode} moves weights while the UNet runs, which CUDA graphs do not follow; "
            "choose the mode encoder-offload, tiled or resident, or do without graphs."
        )


def graph_unet(unet: Any) -> GraphedForward:
    """Let a UNet that stays on its GPU draw by graphs from its next run on."""
    forward = GraphedForward(unet)
    unet.forward = forward
    return forward


_TENSOR = object()
"""Stands for a tensor in what was taken apart."""


def _taken_apart(value: object, tensors: list[torch.Tensor]) -> object:
    """Arguments as something to compare, with their tensors collected in order."""
    match value:
        case torch.Tensor():
            tensors.append(value)
            return _TENSOR
        case tuple() | list():
            return type(value), tuple([_taken_apart(member, tensors) for member in value])
        case dict():
            members = [(key, _taken_apart(member, tensors)) for key, member in value.items()]
            return dict, tuple(members)
        case _:
            return value


def _put_together(shape: Any, tensors: Iterator[torch.Tensor]) -> Any:
    """Arguments again, of what they were taken apart into and tensors."""
    if shape is _TENSOR:
        return next(tensors)
    match shape:
        case (kind, tuple() as members) if kind is dict:
            return {key: _put_together(member, tensors) for key, member in members}
        case (kind, tuple() as members) if kind in (tuple, list):
            return kind(_put_together(member, tensors) for member in members)
        case _:
            return shape
