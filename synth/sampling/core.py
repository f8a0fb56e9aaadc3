"""The hot path: keys in, pixels out, over the buckets that warm-up found to be best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from synth.batch import Mode, Parameters
from synth.errors import DeviceError
from synth.models.program import FromNothing, Interpreted, Styled
from synth.randomness import bits, stream_id
from synth.sampling.backends import Backend
from synth.sampling.costs import Costs, in_parts
from synth.sampling.methods import Model, Ways
from synth.sampling.pictures import as_input
from synth.sampling.rows import Rows, Wanted
from synth.sampling.sizes import Resizing
from synth.sampling.transfer import DirectTransfer, PinnedTransfer, Transfer
from synth.sampling.tuning import Tuning, exact_bucket, tune

_SAMPLE_STREAM = stream_id("sample-images")
_BLOCK = 4
"""Pixels a side, of the images to measure with."""


class Core:
    """Runs one model on one device; belongs to one thread at a time.

    Memory: the weights (once for each memory layout in use), and ``tuning.bytes`` of the largest bucket.
    """

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        """``model.network`` is on the device and in the dtype already; see ``synth.sampling.prepare``."""
        self.model, self.device, self._dtype = model, device, dtype
        self._ways = Ways(model, device, dtype)
        self.program, self.steady = self._ways.program, self._ways.steady
        self._from_nothing = isinstance(self.program, FromNothing)
        self.defaults = {parameter.name: parameter.default for parameter in self.program.parameters}
        self.probe = self.program.probe if isinstance(self.program, Interpreted) else self.defaults
        """Parameters to measure with."""
        self.resizing = Resizing.of(self.program, model.image)
        self._natural = self.resizing.natural if self.resizing else (model.image.height, model.image.width)
        """Height and width that the program is prepared for."""
        self.bytes_per_sample = self._ways.bytes_per_sample(self.sample_rows(1), self.probe)
        self.exact_bucket = exact_bucket(self.bytes_per_sample, device)
        self._exact: Backend = self._ways.steady_backend
        self._fast: Backend = self._ways.shrinking_backend
        self._plain = self._fast
        self._transfer: Transfer = self._make_transfer(self.exact_bucket)
        self.costs = Costs(self.exact_bucket, None)
        self._halved = False
        self._dead: str | None = None

    def warm_up(self, seconds: float, known: Tuning | None = None) -> Tuning:
        """Measure, or prepare what was found earlier; afterwards no request starts anything slow."""
        if known is not None:
            self._fast = self._ways.backend(known.method)
            for size in known.seconds:
                self._fast.prepare(self.sample_rows(size), self.probe)
            self._exact.prepare(self.sample_rows(self.exact_bucket), self.probe)
            tuning = known
        else:
            tuning, self._fast = tune(
                self._ways.candidates(self.probe),
                lambda size: (self.sample_rows(size), self.probe),
                exact=(self._exact, self.exact_bucket),
                bytes_per_sample=self.bytes_per_sample,
                steps=self.program.steps(self.probe),
                budget_seconds=seconds,
            )
        self.costs = Costs(self.exact_bucket, tuning)
        self._ways.keep_only(self._fast.method)
        self._transfer = self._make_transfer(max(*tuning.seconds, self.exact_bucket))
        return tuning

    @property
    def tuning(self) -> Tuning | None:
        """What warm-up found."""
        return self.costs.tuning

    @property
    def memory_bytes(self) -> int:
        """Bytes of weights and of the activations of the largest bucket, as far as modules tell."""
        largest = max(*(self.tuning.seconds if self.tuning else ()), self.exact_bucket, 1)
        return self._ways.weight_bytes() + largest * self.bytes_per_sample

    def run(
        self,
        rows: Rows,
        mode: Mode,
        parameters: Parameters,
        wanted: Wanted | None = None,
    ) -> Tensor:
        """uint8 [N, C, H, W] on the CPU, any number of rows; of the images' size where there are some.

        ``wanted`` is asked between buckets and steps; pixels of rows that nobody wants are undefined.
        Raises DeviceError when the device has failed (the core is dead from then on), or when memory does
        not even suffice after the largest bucket has been halved, once.
        """
        if self._dead is not None:
            raise DeviceError(self._dead)
        try:
            if self.resizing is None or rows.images is None:
                return self._fixed(rows, mode, parameters, wanted)

            def compute(images: Tensor, row: int) -> Tensor:
                """Of all rows together, or of one row's tiles, which share its key."""
                every = row < 0
                of = rows if every else rows[row : row + 1].repeated(len(images))
                asked = wanted if every else _changed(wanted, lambda mask: mask[row].expand(len(images)))
                return self._fixed(of.with_images(images), mode, parameters, asked)

            return self.resizing.run(rows.images, compute)
        except torch.AcceleratorError as error:
            # After a CUDA error in flight nothing on the device can be trusted, and calls may hang.
            self._dead = f"The device {self.device} failed ({error}); restart the process to use it again."
            raise DeviceError(self._dead) from error

    def _fixed(self, rows: Rows, mode: Mode, parameters: Parameters, wanted: Wanted | None) -> Tensor:
        """Rows whose images, if they have some, are of a size that the program takes."""
        image = self.model.image
        shape = (image.channels, *self._natural) if rows.shape is None else rows.shape
        pixels = torch.empty((len(rows), *shape), dtype=torch.uint8)
        self._run(rows, mode, parameters, wanted, pixels)
        self._transfer.finish()
        return pixels

    def _run(
        self, rows: Rows, mode: Mode, parameters: Parameters, wanted: Wanted | None, pixels: Tensor
    ) -> None:
        """Fill ``pixels`` bucket by bucket; halves the largest bucket and goes on when memory runs out."""
        load = self._load(rows)
        at, sizes = 0, self.costs.buckets(len(rows), mode, load)
        while sizes:
            part = slice(at, min(at + sizes[0], len(rows)))
            try:
                self._run_bucket(rows[part], sizes[0], mode, parameters, _of_part(wanted, part), pixels[part])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if load is not None and mode != "exact" and sizes[0] > 1:
                    sizes = in_parts(len(rows) - at, sizes[0] // 2)  # for these alone: others may well fit
                else:
                    self._halve(sizes[0], mode, error)
                    sizes = self.costs.buckets(len(rows) - at, mode, load)
                continue
            at, sizes = part.stop, sizes[1:]

    def _run_bucket(
        self,
        rows: Rows,
        size: int,
        mode: Mode,
        parameters: Parameters,
        wanted: Wanted | None,
        pixels: Tensor,
    ) -> None:
        mask = None if wanted is None else wanted()
        if mask is not None and not mask.any():
            return
        # Warm-up measures generation, where there is any: what it prepared knows nothing of images then.
        prepared = (rows.images is None) == self._from_nothing and self._load(rows) is None
        fast = self._fast if prepared else self._plain
        backend = self._exact if mode == "exact" else fast
        made = backend.run(rows.padded(size).to(self.device), parameters, _padded(wanted, size))
        self._transfer.put(made[: len(rows)], pixels)

    def _load(self, rows: Rows) -> float | None:
        """How much work a row is beside one that was measured; None where it is as those were."""
        if rows.shape is None or rows.shape[1:] == self._natural:
            return None
        return math.prod(rows.shape[1:]) / math.prod(self._natural)

    def _halve(self, size: int, mode: Mode, error: Exception) -> None:
        """Give up buckets larger than half of ``size``; raises DeviceError where that cannot help."""
        smaller = {} if self.tuning is None else self.tuning.up_to(size // 2)
        if mode == "exact" or self._halved or not smaller or self.tuning is None:
            raise DeviceError(
                f"The memory of {self.device} does not suffice for {size} samples at once ({error}). Stop "
                "what else uses it, or use a smaller model or another device."
            ) from error
        for given_up in self.tuning.seconds.keys() - smaller.keys():
            self._fast.forget(given_up)
        self.costs = Costs(self.exact_bucket, self.tuning.model_copy(update={"seconds": smaller}))
        self._halved = True
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def style(self, pictures: Sequence[np.ndarray], parameters: Parameters) -> Tensor:
        """float32 [D] on the CPU: what a ``Styled`` program makes of canonical pixels."""
        assert isinstance(self.program, Styled)
        channels = self.model.image.channels
        inputs = [as_input(pixels, channels, self.device, self._dtype) for pixels in pictures]
        return self.program.style_from(inputs, parameters).float().cpu()

    def _make_transfer(self, largest: int) -> Transfer:
        if self.device.type == "cuda":
            most = largest * self.model.image.channels * math.prod(self._natural)
            return PinnedTransfer(self.device, most)
        return DirectTransfer()

    def sample_rows(self, count: int) -> Rows:
        """Rows of fixed keys and of all classes in turn, on the device; with images where it needs some."""
        index = torch.arange(count, device=self.device)
        labels = index % self.model.classes if self.model.classes else None
        return Rows.of(0, index, labels, None if self._from_nothing else self._sample_images(index))

    def _sample_images(self, index: Tensor) -> Tensor:
        """uint8 [N, C, H, W]: by key, blocks of colours, since noise alone resembles no image."""
        channels, (height, width) = self.model.image.channels, self._natural
        rows, columns = -(-height // _BLOCK), -(-width // _BLOCK)
        coarse = bits(0, index, _SAMPLE_STREAM, channels * rows * columns) & 255
        blocks = coarse.to(torch.uint8).reshape(-1, channels, rows, columns)
        whole = blocks.repeat_interleave(_BLOCK, 2).repeat_interleave(_BLOCK, 3)
        return whole[:, :, :height, :width].contiguous()

    def sample(self, count: int) -> Tensor:
        """uint8 [count, C, H, W] of fixed keys and the parameters to measure with, to compare cores by."""
        return self.run(self.sample_rows(count), "exact", self.probe)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on the device or, as torch tells it for CPUs, in a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _of_part(wanted: Wanted | None, part: slice) -> Wanted | None:
    return _changed(wanted, lambda mask: mask[part])


def _padded(wanted: Wanted | None, size: int) -> Wanted | None:
    """For the rows that fill up a bucket: nobody wants them."""
    return _changed(wanted, lambda mask: torch.cat([mask, mask.new_zeros(size - len(mask))]))


def _changed(wanted: Wanted | None, change: Callable[[Tensor], Tensor]) -> Wanted | None:
    if wanted is None:
        return None

    def asked() -> Tensor | None:
        mask = wanted()
        return None if mask is None else change(mask)

    return asked
