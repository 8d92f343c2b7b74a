"""The one place that opens images: reading inside the dataset root, limits, decoding, fetching."""

from vsil_audit.images.decoding import DecodedImage, ImageHeader, decode, inspect
from vsil_audit.images.formats import wrong_extension
from vsil_audit.images.limits import ImageLimits
from vsil_audit.images.plain_jpeg import is_plain_jpeg
from vsil_audit.images.reading import RealFolder, locate, read_bytes
from vsil_audit.images.remote import Network

__all__ = [
    "DecodedImage",
    "ImageHeader",
    "ImageLimits",
    "Network",
    "RealFolder",
    "decode",
    "inspect",
    "is_plain_jpeg",
    "locate",
    "read_bytes",
    "wrong_extension",
]
