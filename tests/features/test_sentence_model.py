"""Sentence embeddings with a real sentence-transformers model, made on the spot with random weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vsil_audit
from vsil_audit.audit import Audit
from vsil_audit.errors import ConfigurationError
from vsil_audit.features import sentence
from vsil_audit.features.windows import windows

pytest.importorskip("sentence_transformers", reason="needs the extra [text]")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["a", "the", "hide", "gnome", "garden", "kite", "paper", "teapot", "clay", "how", "do", "i", "this", "case"]
PIECES = [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small layers and its word list, saved as sentence-transformers saves a model."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"),
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=64)
    SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu").save(str(folder / "saved"))
    return folder / "saved"


def encoder(model: Path) -> sentence.SentenceEncoder:
    return sentence.SentenceEncoder(sentence.find_model(str(model)))


def test_vectors_have_unit_length_and_equal_texts_equal_vectors(model: Path) -> None:
    vectors = encoder(model)(["hide the gnome", "a paper kite", "hide the gnome"])
    assert [v.shape for v in vectors] == [(1, 32)] * 3
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(vectors), axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-6)


def test_a_long_text_is_seen_to_its_end(model: Path) -> None:
    padding = "a paper kite " * 60
    middle, last, without = encoder(model)([f"{padding}hide the gnome {padding}", f"{padding}hide the gnome", padding])
    (wanted,) = encoder(model)([(padding + "hide the gnome").split(" ", 140)[-1]])
    assert len(without) > 2
    assert (wanted @ last.T).max() > (wanted @ without.T).max()
    assert (wanted @ middle.T).max() > (wanted @ without.T).max()


def test_every_window_fits_the_model(model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model))
    room, count = sentence._window(loaded)
    assert room == 62
    text = "how do i hide this garden gnome, case by case? " * 50 + "unbroken" * 200
    assert max(count(windows([text], room, count)[0])) <= room


def test_another_model_has_another_space_and_a_copy_the_same(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    assert sentence.find_model(str(copy)).space == sentence.find_model(str(model)).space
    (copy / "README.md").write_text("of no account")
    assert sentence.find_model(str(copy)).space == sentence.find_model(str(model)).space
    weights = next(copy.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x01\x02\x03")
    assert sentence.find_model(str(copy)).space != sentence.find_model(str(model)).space


def test_a_folder_without_a_model_is_told_when_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        encoder(tmp_path)(["a kite"])


RESCAN = """
import sys
from pathlib import Path
import vsil_audit
data, model, output = map(Path, sys.argv[1:])
options = vsil_audit.ScanOptions(detectors=("description_overlap",), embedding_model=model, output=output)
vsil_audit.scan(data, options=options)
print(sorted({"torch", "transformers", "sentence_transformers"} & sys.modules.keys()))
"""


def test_a_warm_rescan_finds_the_same_and_imports_nothing_heavy(model: Path, tmp_path: Path) -> None:
    rows = [{"id": i, "question": f"How do I hide gnome {i}?", "description": f"a gnome {i}"} for i in range(12)]
    data = tmp_path / "data.json"
    data.write_text(json.dumps(rows))
    options = vsil_audit.ScanOptions(
        detectors=("description_overlap",), embedding_model=model, output=tmp_path / "cold"
    )
    cold = vsil_audit.scan(data, options=options)
    command = [sys.executable, "-c", RESCAN, str(data), str(model), str(tmp_path / "warm")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.splitlines()[-1] == "[]"
    warm = Audit.open(tmp_path / "warm")
    assert warm.findings.to_pylist() == cold.findings.to_pylist()
    assert all("embedding_similarity" in row["details"] for row in cold.findings.to_pylist() if row["pair_id"])


def test_a_scan_with_a_model_gives_each_pair_its_similarity_and_the_set_its_rank(model: Path, tmp_path: Path) -> None:
    things = ["garden gnome", "paper kite", "clay teapot"] * 4
    rows = [{"id": i, "question": f"How do I hide this {t}, case {i}?", "description": t} for i, t in enumerate(things)]
    (tmp_path / "data.json").write_text(json.dumps(rows))
    options = vsil_audit.ScanOptions(detectors=("description_overlap",), embedding_model=model, output=tmp_path / "run")
    audit = vsil_audit.scan(tmp_path / "data.json", options=options)
    details = [json.loads(row["details"]) for row in audit.findings.to_pylist() if row["pair_id"] is not None]
    assert len(details) == 12
    assert all(-1.0 <= d["embedding_similarity"] <= 1.0 for d in details)
    rank = audit.summary.metric("description_overlap.embedding_rank")
    assert rank is not None
    assert rank.n > 0 or rank.note
