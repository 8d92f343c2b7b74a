"""Which column is what: names, rows and the images that are there decide; the user's word wins."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vsil_audit.errors import ConfigurationError, DatasetError
from vsil_audit.sources.base import ColumnMapping
from vsil_audit.sources.files import ImageIndex
from vsil_audit.sources.mapping import Inferred, infer_mapping, overridden, read_mapping_file
from vsil_audit.sources.tables import open_table

ASKED = ["What is the man holding?", "How many cups are there?", "Is the door open?", "Which way does it go?"]


def inferred(root: Path, rows: Sequence[Any] | dict[str, Any], images: Sequence[str] = (), **given: str) -> Inferred:
    (root / "d.json").write_text(json.dumps(rows))
    for path in images:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return infer_mapping(open_table(root / "d.json", root), ImageIndex(root), ColumnMapping(**given))  # type: ignore[arg-type] - given holds column names only


def rows_of(count: int = 12, **columns: Any) -> list[dict[str, Any]]:
    return [{name: value(n) if callable(value) else value for name, value in columns.items()} for n in range(count)]


def asked(n: int) -> str:
    return f"In picture {n}: {ASKED[n % 4]}"


@pytest.mark.parametrize(
    "name", ["question", "Question", "query", "prompt", "instruction", "text", "sentence", "user_query", "prompt_text"]
)
def test_the_query_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    rows = rows_of(**{name: asked, "answer": "Yes, it is there.", "category": lambda n: f"c{n % 2}"})
    found = inferred(tmp_path, rows)
    assert found.mapping.text == name
    assert found.mapping.category == "category"
    assert found.mapping.reasons["text"] == f'called "{name}"'


def test_a_column_called_like_a_query_needs_sentences(tmp_path: Path) -> None:
    rows = rows_of(question=lambda n: str(n), request=asked)
    assert inferred(tmp_path, rows).mapping.text == "request"


def test_without_names_the_column_of_questions_is_the_query(tmp_path: Path) -> None:
    rows = [[asked(n), f"It is number {n}.", n] for n in range(12)]
    assert inferred(tmp_path, rows).mapping.text == "column_0"


def test_equal_standing_is_an_error_with_samples_and_options(tmp_path: Path) -> None:
    rows = rows_of(question=asked, instruction=lambda n: f"Tell me about item {n}.")
    found = inferred(tmp_path, rows)
    assert found.mapping.text is None
    with pytest.raises(DatasetError, match="ambiguous") as caught:
        found.query.raise_if_ambiguous()
    for expected in ('--text-column "question"', '--text-column "instruction"', ASKED[0], "Tell me about item 0."):
        assert expected in caught.value.message


def test_columns_that_say_the_same_are_not_rivals(tmp_path: Path) -> None:
    assert inferred(tmp_path, rows_of(question=asked, prompt=asked)).mapping.text == "question"


def test_a_constant_prompt_gives_way_to_the_varied_query(tmp_path: Path) -> None:
    assert inferred(tmp_path, rows_of(prompt="Answer in one word.", question=asked)).mapping.text == "question"


def test_queries_without_spaces_in_their_script(tmp_path: Path) -> None:
    assert inferred(tmp_path, rows_of(a="x", b=lambda n: f"这张图片里有什么东西{n}？")).mapping.text == "b"


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        (lambda n: f"pics/{n}.png", "pics/{}.png"),
        (lambda n: f"{n}.png", "pics/{}.png"),
        (lambda n: n, "pics/{}.png"),
        (lambda n: f"data/pics/{n}.png", "pics/{}.png"),
        (lambda n: [f"{n}.png"], "pics/{}.png"),
    ],
)
def test_an_image_column_is_known_by_files_that_are_there(tmp_path: Path, value: Any, paths: str) -> None:
    rows = rows_of(question=asked, image=value)
    found = inferred(tmp_path, rows, [paths.format(n) for n in range(12)])
    assert found.mapping.image == "image"
    assert "12 of 12" in found.mapping.reasons["image"]
    assert not found.notes


def test_a_column_that_resolves_beats_a_useless_one_called_image(tmp_path: Path) -> None:
    rows = rows_of(id=lambda n: n + 1, image=lambda n: f"{n + 1:06}.jpg", question=asked)
    found = inferred(tmp_path, rows, [f"images/{n + 1}.jpg" for n in range(12)])
    assert found.mapping.image == "id"
    assert found.mapping.id == "id"
    assert [(note.kind, note.column, note.fatal_for_pair) for note in found.notes] == [
        ("useless_image_column", "image", False)
    ]


def test_keys_may_name_the_files(tmp_path: Path) -> None:
    rows = {f"{n * 31}": {"image_id": n * 7 + 1, "prompt": asked(n)} for n in range(12)}
    found = inferred(tmp_path, rows, [f"images/{n * 31}.jpg" for n in range(12)])
    assert (found.mapping.image, found.mapping.image_pattern) == (None, "images/{key}.*")
    assert [note.column for note in found.notes] == ["image_id"]


def test_a_label_that_happens_to_be_a_file_name_is_no_image(tmp_path: Path) -> None:
    rows = rows_of(40, question=asked, verdict=lambda n: n % 2)
    assert inferred(tmp_path, rows, [f"images/{n}.png" for n in range(2)]).mapping.image is None


def test_some_images_missing_is_still_the_image_column(tmp_path: Path) -> None:
    rows = rows_of(question=asked, image=lambda n: f"{n}.png")
    found = inferred(tmp_path, rows, [f"images/{n}.png" for n in range(3)])
    assert found.mapping.image == "image"
    assert "3 of 12" in found.mapping.reasons["image"]


def test_no_image_on_disk_is_told_once_and_the_column_kept(tmp_path: Path) -> None:
    found = inferred(tmp_path, rows_of(question=asked, image_path=lambda n: f"imgs/{n}.png"))
    assert found.mapping.image == "image_path"
    assert [note.kind for note in found.notes] == ["no_image_resolves"]
    assert "--image-root" in found.notes[0].remedy


def test_images_moved_to_another_folder_are_found_by_name(tmp_path: Path) -> None:
    rows = rows_of(question=asked, image_path=lambda n: f"imgs/{n}.png")
    found = inferred(tmp_path, rows, [f"pictures/{n}.png" for n in range(12)])
    assert found.mapping.image_pattern == "pictures/{image_path|name}"


def test_images_of_another_split_are_not_taken_for_ours(tmp_path: Path) -> None:
    rows = rows_of(question=asked, image=lambda n: f"{'train' if n % 2 else 'val'}/{n // 2}.png")
    found = inferred(tmp_path, rows, [f"test/{n}.png" for n in range(12)])
    assert found.mapping.image_pattern is None
    assert [note.kind for note in found.notes] == ["no_image_resolves"]


def test_addresses_and_embedded_images(tmp_path: Path) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(80)).decode()
    rows = rows_of(question=asked, image_url=lambda n: f"https://example.org/{n}.png")
    assert inferred(tmp_path, rows).mapping.image == "image_url"
    assert inferred(tmp_path, rows_of(question=asked, picture_data=png)).mapping.image == "picture_data"


def test_numbered_image_columns_are_read_together(tmp_path: Path) -> None:
    rows = rows_of(question=asked, image_1=lambda n: f"{n}.png", image_2=lambda n: f"{n + 1}.png", image_10=None)
    found = inferred(tmp_path, rows, [f"{n}.png" for n in range(14)])
    assert found.mapping.image == "image_1, image_2"


def test_a_second_image_column_is_told_not_dropped(tmp_path: Path) -> None:
    rows = rows_of(question=asked, safe_image=lambda n: f"s{n}.png", unsafe_image=lambda n: f"u{n}.png")
    found = inferred(tmp_path, rows, [f"{kind}{n}.png" for n in range(12) for kind in "su"])
    assert found.mapping.image == "safe_image"
    assert [(note.kind, note.column) for note in found.notes] == [("image_column_not_read", "unsafe_image")]
    assert '--image-column "safe_image, unsafe_image"' in found.notes[0].remedy


def test_roles_by_name_where_the_values_fit(tmp_path: Path) -> None:
    rows = rows_of(
        40,
        instruction_id=lambda n: n,
        instruction=asked,
        category=lambda n: f"c{n % 3}",
        sub_category=lambda n: f"s{n % 6}",
        image_description=lambda n: f"A scene with {n} things in it.",
        source=lambda n: "made" if n % 2 else "found",
        safe=lambda n: n % 2 == 0,
    )
    rows[7]["instruction_id"] = 6  # a repeated id is a fault of the data, not another kind of column
    rows[0]["Key Phrase"] = "thing"
    mapping = inferred(tmp_path, rows).mapping
    assert (mapping.id, mapping.category, mapping.subcategory) == ("instruction_id", "category", "sub_category")
    assert (mapping.description, mapping.source, mapping.label) == ("image_description", "source", "safe")
    assert mapping.key_phrase == "Key Phrase"


def test_a_type_that_never_repeats_is_no_category(tmp_path: Path) -> None:
    assert inferred(tmp_path, rows_of(40, question=asked, type=lambda n: f"t{n}")).mapping.category is None


def test_what_the_user_names_wins(tmp_path: Path) -> None:
    rows = rows_of(question=asked, hint=asked, image=lambda n: f"{n}.png", pic=lambda n: f"{n}.png")
    found = inferred(tmp_path, rows, ["a/0.png", "b/0.png"], text="hint", image="pic", image_root="b")
    assert (found.mapping.text, found.mapping.image, found.mapping.image_root) == ("hint", "pic", "b")
    assert found.mapping.reasons["text"] == "named by the user"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"text": "qestion"}, 'no column "qestion".*Did you mean "question"'),
        ({"image": "question, photo"}, 'no column "photo"'),
        ({"image_root": "nowhere"}, "not a folder inside"),
        ({"image_root": ".."}, "not a folder inside"),
        ({"image_pattern": "{nope}.png"}, "nope"),
    ],
)
def test_what_the_user_names_must_exist(tmp_path: Path, given: dict[str, str], says: str) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        inferred(tmp_path, rows_of(question=asked), ["images/0.png"], **given)
    assert caught.value.remedy


def test_naming_a_pattern_sets_the_layouts_image_column_aside() -> None:
    layouts_own = ColumnMapping(text="question", image="image", reasons={"image": "the layout's"})
    mapping = overridden(layouts_own, ColumnMapping(image_pattern="{id}.png"), ["question", "image", "id"])
    assert (mapping.image, mapping.image_pattern, mapping.text) == (None, "{id}.png", "question")
    assert "image" not in mapping.reasons


def test_a_mapping_file(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("text: question\nimage_pattern: 'images/{id}.png'\n")
    mapping = read_mapping_file(tmp_path / "m.yaml")
    assert (mapping.text, mapping.image_pattern) == ("question", "images/{id}.png")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("text: question\nimge: x\n", r'line 2: there is no role "imge".*Did you mean "image"'),
        ("text: question\ntext: prompt\n", "line 2.*given twice"),
        ("text: question\nimage:\n", 'line 2: "image" needs the name'),
        ("text: [a, b]\n", 'line 1: "text" needs the name'),
        ("text: 'open\n", "line 2.*not valid YAML"),
        ("- text\n", "not a list of roles"),
        ("", "not a list of roles"),
        ("text: !!python/object/apply:os.getcwd []\n", "needs the name"),
    ],
)
def test_a_mapping_file_with_mistakes_names_the_line(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "m.yaml").write_text(content)
    with pytest.raises(ConfigurationError, match=says):
        read_mapping_file(tmp_path / "m.yaml")


@pytest.mark.parametrize(
    ("query", "image", "number", "category", "answer"),
    [
        ("问题", "图片", "编号", "类别", "回答"),
        ("Frage", "Bild", "Nr", "Kategorie", "Antwort"),
        ("Requête", "Image", "id", "Catégorie", "Réponse"),
        ("質問", "画像", "番号", "カテゴリ", "回答"),
    ],
)
def test_names_in_other_languages(
    tmp_path: Path, query: str, image: str, number: str, category: str, answer: str
) -> None:
    columns = {number: lambda n: n, query: asked, image: lambda n: f"{n}.jpg", category: lambda n: f"c{n % 2}"}
    rows = rows_of(**columns, **{answer: lambda n: f"It is number {n}, is it not?"})
    found = inferred(tmp_path, rows, [f"{n}.jpg" for n in range(12)])
    mapping = found.mapping
    assert (mapping.text, mapping.image, mapping.id, mapping.category) == (query, image, number, category)
    assert found.query.candidates == (query,)


def test_a_column_of_classes_is_no_reading_beside_a_column_of_questions(tmp_path: Path) -> None:
    classes = ("loud music", "wet paint", "thin ice")
    rows = rows_of(24, said=lambda n: f"What is in picture {n}?", what=lambda n: classes[n % 3])
    found = inferred(tmp_path, rows, [])
    assert found.query.candidates == ("said",)


def test_a_file_name_is_the_image_before_a_number_that_is_its_stem(tmp_path: Path) -> None:
    rows = rows_of(key=lambda n: n, request=asked, shown=lambda n: f"{n}.jpg")
    assert inferred(tmp_path, rows, [f"{n}.jpg" for n in range(12)]).mapping.image == "shown"


@pytest.mark.parametrize("answer", ["response", "gpt_answer", "image_caption", "reference"])
def test_an_answer_is_never_the_query(tmp_path: Path, answer: str) -> None:
    found = inferred(tmp_path, rows_of(image=lambda n: f"{n}.jpg", **{answer: asked}), [f"{n}.jpg" for n in range(12)])
    assert found.mapping.text is None
    assert found.query.passed_over == (answer,)


def test_answers_that_are_conversations_begin_with_the_query(tmp_path: Path) -> None:
    def turns(reply: str) -> Any:
        return lambda n: [{"role": "user", "content": asked(n)}, {"role": "assistant", "content": reply}]

    assert inferred(tmp_path, rows_of(chosen=turns("No."), rejected=turns("Yes."))).mapping.text == "chosen"


def test_rows_inside_a_row_are_not_a_text(tmp_path: Path) -> None:
    rows = rows_of(questions=lambda n: [{"question": asked(n), "n": n}])
    assert inferred(tmp_path, rows).mapping.text is None


@pytest.mark.parametrize("part", ["image_url", "image", "source"])
def test_images_inside_chat_messages(tmp_path: Path, part: str) -> None:
    held = {
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(b'x' * 90).decode()}"},
        "image": "pics/1.jpg",
        "source": {"type": "base64", "data": f"iVBORw0KGgo{'A' * 89}"},
    }[part]

    def messages(n: int) -> list[dict[str, Any]]:
        content = [{"type": "text", "text": asked(n)}, {"type": part, part: held}]
        reply = {"role": "assistant", "content": [{"type": "image", "image": "made.png"}]}
        return [{"role": "system", "content": "Be kind."}, {"role": "user", "content": content}, reply]

    mapping = inferred(tmp_path, rows_of(messages=messages), ["pics/1.jpg"]).mapping
    assert (mapping.text, mapping.image) == ("messages", "messages")


@pytest.mark.parametrize("column", ["category_id", "image_id", "model_id", "annotator_id", "topic_id"])
def test_the_id_of_something_else_does_not_name_the_pair(tmp_path: Path, column: str) -> None:
    assert inferred(tmp_path, rows_of(question=asked, **{column: lambda n: 100 + n})).mapping.id is None


@pytest.mark.parametrize(("values", "is_label"), [(["yes", "no"], False), (["0", "1"], False), (["safe", "x"], True)])
def test_a_label_says_safe_or_unsafe(tmp_path: Path, values: list[str], is_label: bool) -> None:
    found = inferred(tmp_path, rows_of(question=asked, label=lambda n: values[n % 2]))
    assert found.mapping.label == ("label" if is_label else None)


def test_the_name_of_an_embedded_image_is_no_problem(tmp_path: Path) -> None:
    rows = rows_of(question=asked, image=f"iVBORw0KGgo{'A' * 89}", image_path=lambda n: f"old/{n}.jpg")
    found = inferred(tmp_path, rows)
    assert (found.mapping.image, found.notes) == ("image", ())
