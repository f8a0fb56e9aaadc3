"""The errors that synth raises on purpose.

    SynthError                  1    500   anything below
    |- UsageError               2    422   the request itself is wrong: fix the command or the configuration
    |  |- ConfigError           2    422   a recipe, setting or flag has a bad name or value
    |  |- LabelError            2    422   a label the model does not know, or labels where there are none
    |  |- LeakError             2    422   images to measure on that a model was trained on
    |  |- DeviceError           2    422   a device or precision that this machine does not have
    |  |- OutputExistsError     2    409   the output folder holds something already
    |  |- ResumeError           2    409   what is on disk does not fit what is to be resumed
    |  `- NotFoundError         2    404   a path, model, family or job that does not exist
    |- SourceError              1    422   the source is there, but cannot be used: empty, too small
    |  `- UnreadableError       1    422   image files that cannot be decoded; the message names them
    |- ArtifactError            1    503   an artifact that is damaged, foreign or of a newer schema
    |- TrainingError            1    500   training cannot go on
    |  |- NonFiniteError        1    500   the loss or a weight became NaN or infinite
    |  |- MemoryExceededError   1    500   a batch does not fit into the device's memory
    |  `- CollapseError         1    500   a generator makes ever the same images
    |- StorageError             1    507   the disk is full or refuses to be written
    |- OverloadError            1    503   the server has more work than it may hold
    `- InterruptedRunError    130    503   stopped by the user; what was done is saved

The columns are the exit code of the command line and the HTTP status; ``code`` is the stable name that
problem+json and ``--json`` carry. A message says what happened, where, and what to do about it.
"""

from __future__ import annotations


class SynthError(Exception):
    """Base of all errors that synth raises on purpose."""

    exit_code: int = 1
    status: int = 500
    code: str = "error"
    title: str = "synth failed"


class UsageError(SynthError):
    """The request is wrong in itself; trying again unchanged will not help."""

    exit_code = 2
    status = 422
    code = "invalid-request"
    title = "The request cannot be used"


class ConfigError(UsageError):
    """A recipe, setting or flag has an unknown name or a value out of range."""

    code = "invalid-configuration"
    title = "The configuration is not valid"


class LabelError(UsageError):
    """A label is unknown, out of range, or asked of a model that has no labels."""

    code = "invalid-label"
    title = "The labels do not fit the model"


class LeakError(UsageError):
    """Images that a model was trained on are to be held against it, or two parts of a split share images."""

    code = "leak"
    title = "The images were trained on"


class DeviceError(UsageError):
    """The device, or the precision on it, is not to be had on this machine."""

    code = "unavailable-device"
    title = "The device is not available"


class OutputExistsError(UsageError):
    """The output already exists, and nothing is overwritten unasked."""

    status = 409
    code = "output-exists"
    title = "The output exists already"


class ResumeError(UsageError):
    """The state on disk belongs to other settings than those asked for."""

    status = 409
    code = "resume-mismatch"
    title = "The saved state does not fit"


class NotFoundError(UsageError):
    """A path, model reference, family or job does not exist."""

    status = 404
    code = "not-found"
    title = "Not found"


class SourceError(SynthError):
    """A source exists but holds nothing usable, or too little."""

    status = 422
    code = "unusable-source"
    title = "The source cannot be used"


class UnreadableError(SourceError):
    """Files of a source cannot be decoded."""

    code = "unreadable-files"
    title = "Files cannot be read"


class ArtifactError(SynthError):
    """An artifact is damaged, truncated, foreign, or written by a newer synth."""

    status = 503
    code = "damaged-artifact"
    title = "The model cannot be loaded"


class TrainingError(SynthError):
    """Training cannot go on; the last good state is kept."""

    code = "training-failed"
    title = "Training failed"


class NonFiniteError(TrainingError):
    """The loss or a weight became NaN or infinite."""

    code = "non-finite"
    title = "Training diverged"


class MemoryExceededError(TrainingError):
    """A training step needs more memory than the device has; the message tells which batch fits."""

    code = "memory-exceeded"
    title = "The device has too little memory"


class CollapseError(TrainingError):
    """A generator has lost its diversity, again after it was put back to a state that had it."""

    code = "collapsed"
    title = "Training collapsed"


class StorageError(SynthError):
    """The disk is full, read-only, or refuses the write."""

    status = 507
    code = "storage-failed"
    title = "Storage failed"


class OverloadError(SynthError):
    """The server holds as much work as it may; come back in about ``retry_after_seconds``."""

    status = 503
    code = "overloaded"
    title = "The server is busy"

    def __init__(self, message: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class InterruptedRunError(SynthError):
    """The user stopped the work; what was done so far is saved."""

    exit_code = 130
    status = 503
    code = "interrupted"
    title = "Interrupted"
