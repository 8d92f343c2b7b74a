"""Any table with images beside it, inside it, or nowhere."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsil_audit.errors import DatasetError
from vsil_audit.pair import Origin, Pair, Problem
from vsil_audit.sources.base import ColumnMapping, Source, SourceOptions
from vsil_audit.sources.generic import GenericLayout


def opened(root: Path, **options: Any) -> Source:
    columns = {
        name: options.pop(name) for name in ("text", "image", "image_root", "image_pattern", "id") if name in options
    }
    return GenericLayout().open(root, SourceOptions(columns=ColumnMapping(**columns), **options))


def read(source: Source) -> tuple[list[Pair], list[Problem]]:
    items = list(source.read())
    return [i for i in items if isinstance(i, Pair)], [i for i in items if isinstance(i, Problem)]


def csv_file(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def questions(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"id": f"q{n}", "question": f"What is in picture {n}?"} | {k: v(n) for k, v in more.items()}
        for n in range(count)
    ]


@pytest.mark.parametrize("given", [{}, {"text": "question"}])
def test_a_table_of_a_header_only_holds_no_rows(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("id,question,image\n")
    with pytest.raises(DatasetError, match=r"d\.csv holds no rows"):
        opened(tmp_path, **given)


def test_a_table_without_rows_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,question\n")
    csv_file(tmp_path / "b.csv", questions(3))
    pairs, problems = read(opened(tmp_path))
    assert [pair.text for pair in pairs] == [f"What is in picture {n}?" for n in range(3)]
    assert problems == []


def test_a_row_of_another_kind_is_told_and_makes_no_pair(tmp_path: Path) -> None:
    rows: list[object] = [*questions(3, image=lambda n: f"{n}.png"), [1, 2], "a word", {}, {"question": None}]
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    pairs, problems = read(opened(tmp_path))
    assert [pair.text for pair in pairs] == [*(f"What is in picture {n}?" for n in range(3)), ""]
    told = [(problem.kind, problem.origin.row) for problem in problems if problem.fatal_for_pair]
    assert told == [("unreadable_row", 4), ("unreadable_row", 5), ("unreadable_row", 6)]
    assert "none of the columns that are read" in problems[-1].detail


def test_images_that_no_column_leads_to_are_told(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(4))
    touch(tmp_path, *(f"images/picture-{n + 7}.png" for n in range(4)))
    pairs, [problem] = read(opened(tmp_path))
    assert [pair.images for pair in pairs] == [()] * 4
    assert (problem.kind, problem.fatal_for_pair) == ("no_image_column", False)
    assert "the folder holds 4 images" in problem.detail
    assert "--image-pattern" in problem.remedy


def test_one_picture_beside_many_texts_is_none_of_theirs(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(8))
    touch(tmp_path, "figure.png")
    assert read(opened(tmp_path))[1] == []


def test_fields_of_the_image_are_no_columns_of_images(tmp_path: Path) -> None:
    rows = [
        {"image": {"path": f"{n}.png", "width": 640}, "input": {"query": f"What is in picture {n}?"}} for n in range(4)
    ]
    (tmp_path / "d.json").write_text(json.dumps(rows))
    touch(tmp_path, *(f"{n}.png" for n in range(4)))
    pairs, problems = read(opened(tmp_path))
    assert [pair.images[0].path for pair in pairs] == [f"{n}.png" for n in range(4)]
    assert problems == []


def test_what_macos_keeps_beside_a_file_is_no_table(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(3))
    (tmp_path / "._d.csv").write_bytes(b"\0\5\x16\7")
    pairs, problems = read(opened(tmp_path))
    assert (len(pairs), problems) == (3, [])


def test_a_table_with_images_beside_it(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(4, image=lambda n: f"{n}.png", category=lambda n: f"c{n % 2}"))
    touch(tmp_path, *(f"images/{n}.png" for n in range(4)))
    source = opened(tmp_path)
    pairs, problems = read(source)
    assert not problems
    assert [(p.id, p.text, p.category, [i.path for i in p.images]) for p in pairs[:2]] == [
        ("q0", "What is in picture 0?", "c0", ["images/0.png"]),
        ("q1", "What is in picture 1?", "c1", ["images/1.png"]),
    ]
    assert pairs[1].origin == Origin("d.csv", 2)
    assert source.tables() == (tmp_path / "d.csv",)
    assert [view.name for view in source.views] == ["question"]
    assert read(source)[0] == pairs  # every reading is the same


def test_a_file_given_directly(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "d.csv", questions(3))
    csv_file(tmp_path / "other.csv", questions(5))
    source = opened(path)
    assert source.root == tmp_path
    assert len(read(source)[0]) == 3


def test_missing_images_do_not_cost_the_pair(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(4, image=lambda n: f"images/{n}.png"))
    touch(tmp_path, "images/0.png", "images/1.png")
    pairs, _ = read(opened(tmp_path))
    assert [i.path for p in pairs for i in p.images] == [f"images/{n}.png" for n in range(4)]


def test_rows_without_image_and_without_text_are_pairs(tmp_path: Path) -> None:
    rows = questions(4, image=lambda n: f"{n}.png")
    rows[1]["image"] = ""
    rows[2]["question"] = ""
    csv_file(tmp_path / "d.csv", rows)
    touch(tmp_path, "0.png", "2.png", "3.png")
    pairs, problems = read(opened(tmp_path))
    assert not problems
    assert [len(p.images) for p in pairs] == [1, 0, 1, 1]
    assert [p.text for p in pairs][2] == ""


def test_paths_that_climb_are_passed_on_as_they_stand(tmp_path: Path) -> None:
    root = tmp_path / "set"
    rows = questions(4, image=lambda n: ["../secret.png", "/etc/secret.png", "images/../../secret.png", "ok.png"][n])
    csv_file(root / "d.csv", rows)
    touch(tmp_path, "secret.png")
    touch(root, "ok.png", "secret.png")
    pairs, _ = read(opened(root))
    assert [p.images[0].path for p in pairs] == [
        "../secret.png",
        "/etc/secret.png",
        "images/../../secret.png",
        "ok.png",
    ]


def test_climbing_paths_gain_nothing_from_an_image_root(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(2, image=lambda n: ["../../up.png", "gone.png"][n]))
    touch(tmp_path, "images/up.png")
    pairs, _ = read(opened(tmp_path, image="image", image_root="images"))
    assert [p.images[0].path for p in pairs] == ["../../up.png", "images/gone.png"]


def test_repeated_ids_get_a_stable_suffix_and_a_problem(tmp_path: Path) -> None:
    rows = questions(30)
    rows[3]["id"] = rows[9]["id"] = "q1"
    rows[5]["id"] = "q1#2"
    csv_file(tmp_path / "d.csv", rows)
    pairs, problems = read(opened(tmp_path))
    assert [pairs[n].id for n in (1, 3, 5, 9)] == ["q1", "q1#2", "q1#2#2", "q1#3"]
    assert len({p.id for p in pairs}) == 30
    assert [(p.kind, p.origin.row, p.fatal_for_pair) for p in problems] == [
        ("duplicate_id", row, False) for row in (4, 6, 10)
    ]


def test_ids_without_a_column_are_file_and_row(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", [{"question": f"What about {n}?"} for n in range(2)])
    assert [p.id for p in read(opened(tmp_path))[0]] == ["d.csv:1", "d.csv:2"]


def test_tables_with_the_same_columns_are_splits(tmp_path: Path) -> None:
    csv_file(tmp_path / "train.csv", questions(3))
    csv_file(tmp_path / "test.csv", questions(2, question=lambda n: f"What else is in picture {n}?"))
    pairs, problems = read(opened(tmp_path))
    assert not problems
    assert [(p.id, p.split) for p in pairs] == [
        ("test/q0", "test"), ("test/q1", "test"), ("train/q0", "train"), ("train/q1", "train"), ("train/q2", "train"),
    ]  # fmt: skip
    assert [p.id for p in read(opened(tmp_path, split="test"))[0]] == ["test/q0", "test/q1"]
    with pytest.raises(DatasetError, match='No pair has the split "dev"') as caught:
        read(opened(tmp_path, split="dev"))
    assert "test, train" in caught.value.remedy


def test_tables_of_one_name_in_several_folders_are_told_apart_by_folder(tmp_path: Path) -> None:
    for name in ("Alpha", "Beta"):
        (tmp_path / name).mkdir()
        rows = [{"id": n, "question": f"What is picture {n} of {name}?"} for n in range(3)]
        (tmp_path / name / "data.json").write_text(json.dumps(rows))
        touch(tmp_path, *(f"{name}/images/{n}.jpg" for n in range(3)))
    pairs, _ = read(opened(tmp_path))
    assert [(p.id, p.split, p.images[0].path) for p in pairs][3:5] == [
        ("Beta/0", "Beta", "Beta/images/0.jpg"),
        ("Beta/1", "Beta", "Beta/images/1.jpg"),
    ]


def test_tables_of_another_form_are_named_not_dropped(tmp_path: Path) -> None:
    csv_file(tmp_path / "questions.csv", questions(3))
    csv_file(tmp_path / "answers.csv", [{"id": f"q{n}", "answer": "yes", "votes": 3} for n in range(3)])
    (tmp_path / "broken.json").write_text("{oops")
    pairs, problems = read(opened(tmp_path))
    assert len(pairs) == 3
    assert sorted((p.kind, p.origin.file) for p in problems) == [
        ("not_read", "answers.csv"),
        ("unreadable_file", "broken.json"),
    ]


def test_several_tables_that_could_be_it_are_an_error(tmp_path: Path) -> None:
    csv_file(tmp_path / "a.csv", questions(3))
    csv_file(tmp_path / "b.csv", [{"prompt": f"Tell me of {n}.", "by": "x", "on": "y", "at": "z"} for n in range(3)])
    with pytest.raises(DatasetError, match="ambiguous") as caught:
        opened(tmp_path)
    assert "a.csv" in caught.value.message
    assert "b.csv" in caught.value.message
    assert len(read(opened(tmp_path, view="prompt"))[0]) == 3


def test_views_are_the_text_columns_and_keep_the_ids(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(3, plain_question=lambda n: f"And number {n}?"))
    official, other = opened(tmp_path), opened(tmp_path, view="plain_question")
    assert [(v.name, v.official) for v in official.views] == [("question", False), ("plain_question", False)]
    assert other.view == "plain_question"
    assert [p.id for p in read(official)[0]] == [p.id for p in read(other)[0]]
    assert read(other)[0][1].text == "And number 1?"
    with pytest.raises(DatasetError, match=r'no view "plan_question".*Did you mean "plain_question"'):
        opened(tmp_path, view="plan_question")


def test_equal_candidates_ask_for_an_option_and_take_it(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(3, instruction=lambda n: f"Describe number {n}."))
    with pytest.raises(DatasetError, match='--text-column "instruction"'):
        opened(tmp_path)
    assert read(opened(tmp_path, text="instruction"))[0][0].text == "Describe number 0."
    assert read(opened(tmp_path, view="question"))[0][0].text == "What is in picture 0?"


def test_a_pattern_given_by_the_user(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(2, shelf=lambda n: "a"))
    touch(tmp_path, *(f"im/a/{n}-{k}.png" for n in range(2) for k in range(3)))
    pairs, _ = read(opened(tmp_path, image_pattern="im/{shelf}/q-{row}-{0..2}.png"))
    assert [i.path for i in pairs[0].images] == ["im/a/q-1-0.png", "im/a/q-1-1.png", "im/a/q-1-2.png"]


def test_several_images_a_row_are_found_without_options(tmp_path: Path) -> None:
    rows = [{"name": f"{n * 37}-{n % 2}", "sentence": f"There are {n} of them."} for n in range(12)]
    (tmp_path / "dev.json").write_text("\n".join(map(json.dumps, rows)))
    touch(tmp_path, *(f"images/dev-{row['name']}-{k}.png" for row in rows for k in range(3)))
    pairs, problems = read(opened(tmp_path))
    assert not problems
    assert [i.path for i in pairs[3].images] == [f"images/dev-111-1-{k}.png" for k in range(3)]


def test_lists_of_embedded_images(tmp_path: Path) -> None:
    table = pa.table(
        {"images": [["../a.png"], ["../b.png"]], "text": ["One bed.", "Two beds."], "raw": [[b"1"], [b"2", b"3"]]}
    )
    pq.write_table(table, tmp_path / "d.parquet")
    pairs, problems = read(opened(tmp_path))
    assert [[i.data for i in p.images] for p in pairs] == [[b"1"], [b"2", b"3"]]
    assert pairs[1].images[0].name == "d.parquet, row 2, column raw, image 1"
    assert [(p.kind, p.column) for p in problems] == [("useless_image_column", "images")]


def test_control_characters_and_markup_are_data(tmp_path: Path) -> None:
    text = "a\x00b\x1b[31m</script>[bold]\u202e?"
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps({"question": text, "n": n}) for n in range(2)))
    assert read(opened(tmp_path))[0][0].text == text


def test_no_query_at_all_names_the_columns(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", [{"a": n, "b": n} for n in range(3)])
    with pytest.raises(DatasetError, match=r"no column could be the query\. Columns: a, b") as caught:
        opened(tmp_path)
    assert "--text-column" in caught.value.remedy


def test_images_without_any_text_column_are_pairs_and_a_problem(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", [{"image": f"{n}.png"} for n in range(3)])
    touch(tmp_path, *(f"{n}.png" for n in range(3)))
    pairs, problems = read(opened(tmp_path))
    assert [(p.text, p.images[0].path) for p in pairs] == [("", f"{n}.png") for n in range(3)]
    assert [p.kind for p in problems] == ["no_text_column"]


@pytest.mark.parametrize("name", ["d.csv", "d.json", "d.jsonl", "d.parquet"])
def test_the_same_rows_in_every_format_give_the_same_pairs(tmp_path: Path, name: str) -> None:
    rows = questions(5, image=lambda n: f"{n}.png", category=lambda n: f"c{n % 2}")
    path = tmp_path / name
    if name.endswith("csv"):
        csv_file(path, rows)
    elif name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows) if name.endswith("json") else "\n".join(map(json.dumps, rows)))
    touch(tmp_path, *(f"i/{n}.png" for n in range(5)))
    assert [(p.id, p.text, p.category, p.images[0].path) for p in read(opened(tmp_path))[0]] == [
        (f"q{n}", f"What is in picture {n}?", f"c{n % 2}", f"i/{n}.png") for n in range(5)
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"question": st.text(max_size=20)}, optional={"image": st.text(max_size=15), "id": st.text(max_size=3)}
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_row_becomes_one_pair_with_an_id_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    root = tmp_path_factory.mktemp("set")
    (root / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
    touch(root, "0.png")
    pairs, _ = read(opened(root, text="question"))
    assert [p.text for p in pairs] == [row["question"] for row in rows]
    assert len({p.id for p in pairs}) == len(rows)


def test_a_text_file_with_one_prompt_a_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("About this set.\n")
    (tmp_path / "harmful.txt").write_bytes(b"How?\n\n  Why not?  \r\nCaf\xe9?\n")
    (tmp_path / "benign.txt").write_text("When is it?\n")
    pairs, problems = read(opened(tmp_path))
    assert [(pair.id, pair.text, pair.split) for pair in pairs] == [
        ("benign.txt:1", "When is it?", "benign"),
        ("harmful.txt:1", "How?", "harmful"),
        ("harmful.txt:2", "Why not?", "harmful"),
        ("harmful.txt:3", "Caf\ufffd?", "harmful"),
    ]
    assert [(p.kind, p.origin) for p in problems] == [("invalid_encoding", Origin("harmful.txt", 3))]
    assert [pair.text for pair in read(opened(tmp_path / "notes.txt"))[0]] == ["About this set."]


def test_a_folder_of_notes_is_not_read_as_prompts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("What we did.\nAnd why we did it.\n")
    assert GenericLayout().detect(tmp_path) is None


@pytest.mark.parametrize(
    "first", ["0,What is in the picture there?,0.jpg", "0,what is it,0.jpg", "What do you see here?"]
)
def test_a_row_is_not_taken_for_the_header(tmp_path: Path, first: str) -> None:
    path = tmp_path / "d.csv"
    path.write_text("\n".join([first, *(first.replace("0", str(n)).replace("see", f"see {n}") for n in range(1, 9))]))
    with pytest.raises(DatasetError, match="no header row") as raised:
        opened(path)
    assert "--text-column" in raised.value.remedy


def test_an_answer_without_a_query_is_an_error_that_names_it(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", [{"image": f"{n}.jpg", "response": f"I would not do {n} here."} for n in range(5)])
    touch(tmp_path, *(f"{n}.jpg" for n in range(5)))
    with pytest.raises(DatasetError, match="response: sentences, but called like something else"):
        opened(tmp_path)


def test_a_table_that_holds_the_others_is_told(tmp_path: Path) -> None:
    rows = questions(10, image=lambda n: f"{n}.png")
    touch(tmp_path, *(f"{n}.png" for n in range(10)))
    csv_file(tmp_path / "all.csv", rows)
    csv_file(tmp_path / "train.csv", rows[:8])
    csv_file(tmp_path / "test.csv", rows[8:])
    pairs, problems = read(opened(tmp_path))
    assert len(pairs) == 20
    assert [(p.kind, p.origin.file, p.rows) for p in problems] == [
        ("repeated_table", "test.csv", 2),
        ("repeated_table", "train.csv", 8),
    ]
    assert "--split NAME (all, test, train)" in problems[0].remedy
    assert not read(opened(tmp_path, split="all"))[1]


def test_answers_of_models_to_the_same_queries_are_not_read_as_more_pairs(tmp_path: Path) -> None:
    rows = questions(10, image=lambda n: f"{n}.png")
    touch(tmp_path, *(f"{n}.png" for n in range(10)))
    csv_file(tmp_path / "bench.csv", rows)
    for model in ("a", "b"):
        csv_file(tmp_path / "results" / f"{model}.csv", [{**row, "response": "No, never."} for row in rows])
    pairs, problems = read(opened(tmp_path))
    assert len(pairs) == 10
    assert [(p.kind, p.origin.file) for p in problems] == [("not_read", f"results/{model}.csv") for model in "ab"]


def test_many_tables_of_another_form_are_one_problem(tmp_path: Path) -> None:
    csv_file(tmp_path / "bench.csv", questions(3))
    for number in range(12):
        csv_file(tmp_path / f"score{number:02}.csv", [{"model": "a", "score": number}])
    _, problems = read(opened(tmp_path))
    assert [(p.kind, "12 tables are not read" in p.detail) for p in problems] == [("not_read", True)]


def test_columns_inside_objects(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"r{n}",
            "input": {"question": f"What is in picture {n}?", "image": f"{n}.png"},
            "output": {"answer": f"It is number {n}, I think."},
            "meta": {"kind": {"category": "ab"[n % 2]}},
        }
        for n in range(10)
    ]
    (tmp_path / "d.json").write_text(json.dumps(rows))
    touch(tmp_path, *(f"{n}.png" for n in range(10)))
    source = opened(tmp_path)
    pairs, problems = read(source)
    assert not problems
    assert (source.mapping.text, source.mapping.image) == ("input.question", "input.image")
    assert [(p.id, p.text, p.category, p.images[0].path) for p in pairs[:1]] == [
        ("r0", "What is in picture 0?", "a", "0.png")
    ]


def test_images_in_an_archive_beside_the_table_are_one_problem_that_names_it(tmp_path: Path) -> None:
    csv_file(tmp_path / "d.csv", questions(10, image=lambda n: f"images/{n}.png"))
    touch(tmp_path, "images.zip")
    pairs, problems = read(opened(tmp_path))
    assert [(p.images, p.meta["absent_image"]) for p in pairs[:2]] == [((), "images/0.png"), ((), "images/1.png")]
    assert [p.kind for p in problems] == ["no_image_resolves"]
    assert "Unpack images.zip" in problems[0].remedy


def test_chat_messages_carry_query_and_images(tmp_path: Path) -> None:
    rows = [
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "image": f"{n}.png"}, {"type": "text", "text": "Why so?"}],
                },
                {"role": "assistant", "content": "Because."},
            ]
        }
        for n in range(4)
    ]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
    touch(tmp_path, *(f"{n}.png" for n in range(4)))
    pairs, _ = read(opened(tmp_path))
    assert [(p.text, [image.path for image in p.images]) for p in pairs] == [
        ("Why so?", [f"{n}.png"]) for n in range(4)
    ]


def test_what_is_read_is_inferred_of_a_table_that_is_read(tmp_path: Path) -> None:
    rows = questions(5, category=lambda n: f"c{n % 2}", topic=lambda n: f"t{n}")
    csv_file(tmp_path / "prompts.csv", rows)
    csv_file(tmp_path / "a_results.csv", [{**row, "label": "unsafe"} for row in rows])  # the first by name
    source = opened(tmp_path)
    pairs, problems = read(source)
    assert [(p.kind, p.origin.file) for p in problems] == [("not_read", "a_results.csv")]
    assert {pair.origin.file for pair in pairs} == {"prompts.csv"}
    assert source.mapping.label is None
