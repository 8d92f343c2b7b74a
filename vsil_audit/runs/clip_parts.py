"""CLIP vectors of one batch as bytes and back: an Arrow IPC file with a row a vector, in half precision.

`image`: whether the vector is of an image; `position`: of which of the batch's images, or texts, in order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vsil_audit.detectors.base import ClipVectors
from vsil_audit.features.embeddings.rows import Rows

_LARGEST = 1.01  # of a number in a vector of unit length, half precision allowed for


def clip_to_bytes(clip: ClipVectors) -> bytes:
    width = clip.texts.vectors.shape[1] or clip.images.vectors.shape[1]
    sides = (clip.texts, clip.images)
    vectors = np.concatenate([side.vectors.astype(np.float16).reshape(-1, width) for side in sides])
    positions = np.concatenate([np.repeat(np.arange(len(side), dtype=np.int32), side.counts()) for side in sides])
    of_image = np.repeat([False, True], [len(side.vectors) for side in sides])
    table = pa.table(
        {
            "image": pa.array(of_image),
            "position": pa.array(positions, pa.int32()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float16()), width)
            if len(vectors)
            else pa.array([], pa.list_(pa.float16(), width)),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def clip_from_bytes(data: bytes, n_texts: int, n_images: int) -> ClipVectors:
    """What `clip_to_bytes` was given, of so many texts and images. Raises ValueError for anything else."""
    try:
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        table.validate(full=True)
        width = table.schema.field("vector").type.list_size
        numbers = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        of_image = table["image"].to_numpy()
        positions = table["position"].to_numpy()
    except (KeyError, AttributeError, OSError, pa.ArrowException) as error:
        raise ValueError(f"it holds no CLIP vectors: {error}") from error
    vectors = numbers.astype(np.float32).reshape(len(positions), width)
    if not (np.abs(vectors) < _LARGEST).all():  # false of NaN too
        raise ValueError("a vector in it is not one of unit length")
    return ClipVectors(
        texts=_side(vectors[~of_image], positions[~of_image], n_texts),
        images=_side(vectors[of_image], positions[of_image], n_images),
    )


def _side(vectors: npt.NDArray[np.float32], positions: npt.NDArray[np.int32], count: int) -> Rows:
    if len(positions) and (positions[0] < 0 or positions[-1] >= count or (np.diff(positions) < 0).any()):
        raise ValueError("its vectors are out of order")
    starts = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(positions, minlength=count), out=starts[1:])
    return Rows(vectors, starts)
