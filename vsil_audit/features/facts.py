"""What is known of one image after it has been opened once: shared by every detector and by the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ImageError:
    """Why an image could not be used. `kind`: missing, outside_root, empty_file, lfs_pointer, not_an_image,
    unsupported_format, truncated, too_large, too_many_frames, corrupt, remote_not_fetched, remote_failed,
    unreadable."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A line of text found in an image. `confidence` in [0, 1]; `box` = (left, top, right, bottom) as shares of
    width and height, each in [0, 1], after EXIF orientation."""

    text: str
    confidence: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Facts of one image. When `error` is set everything but `name` (and `digest`, if the bytes were read) is empty.

    `digest`: sha256 hex of the file's bytes. `width`, `height`: pixels after EXIF orientation. `format`: Pillow's name
    of the real format. `notes`: stable words for what was tolerated (`wrong_extension`, `exif_rotated`, `cmyk`,
    `sixteen_bit`, `alpha`, `palette`, `first_frame_only` …). `phash`: 64-bit perceptual hash, None for a flat image.
    `ocr`: lines in reading order; None when OCR was not asked for, or failed (`ocr_error` says why).
    `thumbnail`: JPEG bytes, longer side at most 160 px. `clip`: the image's CLIP vector, shape (width,), unit length;
    None when it was not asked for, or could not be made (`clip_error` says why). These three are not facts of a run
    folder's images; they are kept apart.
    """

    name: str
    digest: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    notes: tuple[str, ...] = ()
    phash: int | None = None
    ocr: tuple[OcrLine, ...] | None = None
    ocr_error: str | None = None
    thumbnail: bytes | None = field(default=None, repr=False)
    error: ImageError | None = None
    clip: npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    clip_error: str | None = field(default=None, compare=False)
