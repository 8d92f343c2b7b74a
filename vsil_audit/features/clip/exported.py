"""The image half of a CLIP model, exported to ONNX once and run by ONNX Runtime or OpenVINO, on the CPU."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.features.clip.loading import quietly
from vsil_audit.features.store import default_store_path

Run = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""Pixels (n, height, width, 3) to vectors (n, width), not of unit length."""

_MOST_IN_ONE_FILE = 4 << 30  # before: an ONNX file holds two gigabytes, and eight bits take a quarter
_NEEDED = {"onnx": ("onnxruntime", "onnx", "onnxscript"), "openvino": ("openvino", "onnx", "onnxscript")}


def check_backend(backend: str) -> None:
    """Raises MissingDependencyError when what `onnx` or `openvino` needs is not installed."""
    missing = [package for package in _NEEDED[backend] if find_spec(package) is None]
    if missing:
        raise MissingDependencyError(
            f"the CLIP backend {backend} needs {', '.join(missing)}", f"pip install {' '.join(missing)}"
        )


def exported(tower: Any, space: str, size: tuple[int, int], backend: str, *, int8: bool) -> Run:
    """`tower` (an `image_tower` on the CPU) as an ONNX model, which is kept beside the feature store under `space`.

    `size`: height and width. Raises ConfigurationError when it cannot be exported.
    """
    import torch

    check_backend(backend)
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as scratch:  # for where there is no cache
        file = _kept(tower, space, size, Path(scratch), int8=int8)
        try:
            return _started(file, threads, backend)
        except ConfigurationError:  # damaged, perhaps: it is exported once more
            shutil.rmtree(file.parent, ignore_errors=True)
        return _started(_kept(tower, space, size, Path(scratch), int8=int8), threads, backend)


def _kept(tower: Any, space: str, size: tuple[int, int], scratch: Path, *, int8: bool) -> Path:
    import torch

    key = hashlib.sha256(f"{space} torch {torch.__version__}".encode()).hexdigest()[:32]
    try:
        folder = default_store_path().parent / "clip" / "onnx" / key
        folder.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        folder = scratch / key
    if not (folder / "model.onnx").is_file():
        new = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            _export(tower, new, size, int8=int8)
            with suppress(OSError):  # another process was faster
                new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder / "model.onnx"


def _export(tower: Any, folder: Path, size: tuple[int, int], *, int8: bool) -> None:
    import torch

    exact = folder / ("exact.onnx" if int8 else "model.onnx")
    example = torch.zeros((2, *size, 3), dtype=torch.uint8)
    try:
        with quietly():
            program = torch.onnx.export(
                tower,
                (example,),
                input_names=["pixels"],
                output_names=["vectors"],
                dynamic_shapes={"pixels": {0: torch.export.Dim("n", min=1, max=4096)}},
                dynamo=True,
                verbose=False,
            )
        program.save(str(exact), external_data=True)
        if int8:
            _quantize(exact, folder / "model.onnx")
            for file in folder.glob("exact.onnx*"):
                file.unlink()
    except Exception as error:  # torch.onnx raises nearly anything for what it cannot express
        reason = " ".join(str(error).split())[:300]
        raise ConfigurationError(f"the model cannot be exported to ONNX: {reason}", "Use the backend torch.") from error


def _quantize(exact: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(exact),
        str(target),
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=sum(file.stat().st_size for file in target.parent.iterdir()) > _MOST_IN_ONE_FILE,
    )


def _started(file: Path, threads: int, backend: str) -> Run:
    try:
        return _onnx_runtime(file, threads) if backend == "onnx" else _openvino(file, threads)
    except Exception as error:  # whatever they raise for what they cannot read or run
        reason = " ".join(str(error).split())[:300]
        raise ConfigurationError(
            f"{backend} cannot run the exported model: {reason}", "Use the backend torch."
        ) from error


def _onnx_runtime(file: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run(None, {"pixels": pixels})[0], dtype=np.float32)


def _openvino(file: Path, threads: int) -> Run:
    import openvino

    precise = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(str(file), "CPU", precise)
    return lambda pixels: np.asarray(compiled(pixels)[0], dtype=np.float32)
