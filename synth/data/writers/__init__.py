"""Write generated samples as data sets: ImageFolder, WebDataset and NPZ; COCO, VOC, YOLO and masks."""

from synth.data.writers.formats import FORMATS
from synth.data.writers.manifest import DatasetFile, DatasetManifest, read_manifest
from synth.data.writers.writer import Writer, open_writer

__all__ = ["FORMATS", "DatasetFile", "DatasetManifest", "Writer", "open_writer", "read_manifest"]
