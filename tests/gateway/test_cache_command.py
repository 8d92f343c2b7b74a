"""`vsil-audit cache`, as its user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from vsil_audit.cli.cache import command
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.embeddings.store import EmbeddingStore
from vsil_audit.gateway import Message, Request, ask_all


@pytest.fixture
def three_answers(tmp_path: Path) -> None:
    (tmp_path / "judge.yaml").write_text("name: judge\nrules: [{answer: safe}]")
    ask_all(f"scripted/{tmp_path / 'judge.yaml'}", [Request((Message.user(f"question {n}"),)) for n in range(3)])


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_before_anything_was_asked_there_is_nothing_and_nothing_is_made(own_feature_store: Path) -> None:
    for name in ("info", "export", "clear"):
        assert "No answer is kept yet" in said(name)
    assert not (own_feature_store / "answers.sqlite").exists()


@pytest.mark.usefixtures("three_answers")
def test_info_tells_how_much_of_what_is_where() -> None:
    told = said("info")
    assert told.startswith("3 answers, ")
    assert "scripted/judge-" in told


@pytest.mark.usefixtures("three_answers")
def test_export_gives_questions_and_responses(tmp_path: Path) -> None:
    said("export", "--output", str(tmp_path / "out.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["request"]["messages"][0]["parts"] for line in lines] == [[f"question {n}"] for n in range(3)]
    assert json.loads(lines[0]["response"])["choices"][0]["message"]["content"] == "safe"
    assert "0 answers exported" in said("export", "--model", "openai/other")


@pytest.mark.usefixtures("three_answers")
def test_clear_asks_first_and_forgets_what_it_was_told_to() -> None:
    assert "--yes" in said("clear", code=2)
    assert said("clear", "--older-than", "1", "--yes").startswith("0 answers")
    assert said("clear", "--yes").startswith("3 answers")
    assert said("info").startswith("0 answers")


def test_a_file_that_is_no_cache_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "thesis.txt"
    file.write_text("not a cache")
    for name in ("info", "clear"):
        result = CliRunner().invoke(command, [name, "--path", str(file)])
        assert isinstance(result.exception, ConfigurationError)
    assert file.read_text() == "not a cache"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.usefixtures("three_answers")
def test_embeddings_are_told_of_and_cleared_apart_from_answers() -> None:
    with EmbeddingStore() as store:
        store.space("a small model").put("ab" * 32, np.ones((2, 8)))
    told = said("info")
    assert told.startswith("3 answers, ")
    assert "2 embeddings, " in told
    assert "a small model" in told
    assert "--yes" in said("clear", "--embeddings", code=2)
    assert said("clear", "--embeddings", "--yes") == "2 embeddings forgotten.\n"
    assert "embeddings" not in said("info")
    assert said("info").startswith("3 answers, ")


@pytest.mark.parametrize("other", [("--model", "openai/x"), ("--older-than", "1"), ("--path", "x")])
def test_clearing_embeddings_is_all_or_nothing(other: tuple[str, str]) -> None:
    assert "--embeddings forgets them all" in said("clear", "--embeddings", "--yes", *other, code=2)
