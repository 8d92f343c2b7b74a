"""The kinds of problem that `hygiene` names: what each says to people, and what the dataset's owner can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class IssueKind:
    """`tells`: what is wrong, in one line. `remedy`: what the owner can do. `severity`: `error` (the pair cannot be
    used as it stands), `warning` (most likely a defect) or `info` (worth knowing; often how the set was designed)."""

    tells: str
    remedy: str
    severity: str


_RESTORE = "Restore the file from where the benchmark is published, or take the pair out."

_PAIR_KINDS = {
    # images
    "missing_image": IssueKind(
        "the image file that the pair names is not there",
        "Download the missing files, or name the right column or folder with --image-column or --image-root.",
        "error",
    ),
    "image_outside_root": IssueKind(
        "the image path leads outside the dataset's folder, so it was not opened",
        "Move the file into the dataset's folder and make its path relative to it.",
        "error",
    ),
    "empty_image": IssueKind("the image file holds no bytes", _RESTORE, "error"),
    "lfs_pointer_image": IssueKind(
        "a Git LFS pointer stands in place of the image", "Fetch the files with `git lfs pull`.", "error"
    ),
    "not_an_image": IssueKind("the image file is not an image", _RESTORE, "error"),
    "unsupported_image": IssueKind(
        "the image is in a format that is not opened",
        "Convert it to PNG or JPEG; drawings (SVG) are not rendered.",
        "error",
    ),
    "truncated_image": IssueKind("the image file ends too early", _RESTORE, "error"),
    "corrupt_image": IssueKind("the image cannot be decoded", _RESTORE, "error"),
    "oversized_image": IssueKind(
        "the image is larger than the limit, so it was not decoded",
        "Scale it down, or raise --max-pixels if the file can be trusted.",
        "error",
    ),
    "unreadable_image": IssueKind(
        "the image file is there but cannot be read", "Check the permissions of the file and its folder.", "error"
    ),
    "remote_image_failed": IssueKind(
        "the image could not be fetched from its address", "Download it and refer to the local file.", "error"
    ),
    "wrong_image_extension": IssueKind(
        "the file name says another image format than the file holds",
        "Rename the file to the format that it really has; strict loaders refuse it.",
        "warning",
    ),
    "missing_image_reference": IssueKind(
        "the pair has no image, though the set's pairs have one",
        "Fill in the image, or keep text-only rows in a set of their own.",
        "error",
    ),
    "near_duplicate_image": IssueKind(
        "the image looks the same as another image of the set",
        "Keep one of them, or keep both in the same split and count them as one.",
        "warning",
    ),
    # text
    "empty_text": IssueKind("the query is empty", "Write the query, or take the pair out.", "error"),
    "rewriter_note": IssueKind(
        "a rewriting model's own words stand in the query",
        "Cut the marked words; check that what remains is the query that was meant.",
        "warning",
    ),
    "builder_refusal": IssueKind(
        "the query is a model's refusal to write one",
        "Write the query, or take the pair out.",
        "error",
    ),
    "stray_markup": IssueKind(
        "markup is left in the query", "Cut the marked characters; a user would not type them.", "warning"
    ),
    "unfilled_placeholder": IssueKind(
        "a template's placeholder was never filled in", "Fill in the marked place.", "error"
    ),
    "mixed_script": IssueKind(
        "words in another script stand in the middle of the query",
        "Translate the marked words, or quote them if they are meant to be read as they stand.",
        "warning",
    ),
    "homoglyph": IssueKind(
        "letters that look like others (of another script, or styled) stand inside words",
        "Type the marked words with ordinary letters, unless the disguise is what the pair tests.",
        "warning",
    ),
    "control_characters": IssueKind(
        "characters that are not text stand in the query",
        "Remove the marked characters.",
        "warning",
    ),
    "bidi_override": IssueKind(
        "characters that reverse the direction of reading stand in the query",
        "Remove the marked characters: what is shown is not what a model reads.",
        "warning",
    ),
    "invisible_characters": IssueKind(
        "invisible characters stand in the query", "Remove the marked characters.", "warning"
    ),
    "mojibake": IssueKind(
        "the text was decoded with the wrong encoding",
        "Read the source again with its right encoding (mostly UTF-8) and write it anew.",
        "warning",
    ),
    "overlong_text": IssueKind(
        "the query is far longer than the set's others, or than most models read",
        "Check whether several texts, or a whole answer, stand in one cell.",
        "warning",
    ),
    # pairs among themselves
    "duplicate_pair": IssueKind(
        "the same query with the same image stands earlier in the set", "Keep one of them.", "warning"
    ),
    "duplicate_text": IssueKind(
        "the same query stands earlier in the set, with another image",
        "Write another query, or count the pairs as one group in every interval.",
        "warning",
    ),
    "near_duplicate_text": IssueKind(
        "nearly the same query stands earlier in the set",
        "Write another query, or count the pairs as one group in every interval.",
        "warning",
    ),
    "contradictory_label": IssueKind(
        "the same query and image carry different labels", "Decide which label is right.", "error"
    ),
    "contradictory_category": IssueKind(
        "the same query and image stand in different categories",
        "Decide which category is right, or list both in one row.",
        "warning",
    ),
    "subcategory_misplaced": IssueKind(
        "the subcategory belongs to another category nearly everywhere else",
        "Correct the category or the subcategory.",
        "warning",
    ),
    "category_spelling": IssueKind(
        "the category is spelled in another way than elsewhere",
        "Use one spelling: tools count these as two categories.",
        "warning",
    ),
    "missing_category": IssueKind(
        "the pair has no category, though the set's pairs have one", "Fill in the category.", "warning"
    ),
    "missing_label": IssueKind(
        "the pair has no label, though the set's pairs have one", "Fill in the label.", "warning"
    ),
    "split_overlap": IssueKind(
        "the pair, its image or its query stands in another split too",
        "Move all pairs that share an image or a query into one split.",
        "error",
    ),
}

_SET_KINDS = {
    "template_text": IssueKind(
        "many queries are one sentence, or one sentence with a slot",
        "Read rates by group; if it was not intended, vary the wording.",
        "info",
    ),
    "repeated_texts": IssueKind(
        "many queries stand in the set several times, with other images",
        "Nothing, if the set is meant so; intervals count pairs that share a query as one group.",
        "info",
    ),
    "duplicate_images": IssueKind(
        "the same image is stored under several names",
        "Nothing, if the set is meant so; otherwise keep one file. Pairs that share an image count as one group.",
        "info",
    ),
    "similar_images": IssueKind(
        "many images look alike to a perceptual hash: drawn or typeset in one form",
        "Nothing, if the set is meant so: near-duplicates are not told apart among them.",
        "info",
    ),
    "set_wide_form": IssueKind(
        "most queries share a form that would be a defect in a single one",
        "Nothing, if the form is meant; otherwise clean the whole column.",
        "info",
    ),
    "category_imbalance": IssueKind(
        "some categories have far more pairs than others",
        "Report rates per category, or average over categories, beside the overall rate.",
        "warning",
    ),
    "category_is_free_text": IssueKind(
        "the category column has nearly as many values as the set has pairs",
        "Name the right column with --category-column.",
        "warning",
    ),
    "splits_share_content": IssueKind(
        "the splits hold the same pairs in several forms",
        "Scan one split at a time with --split, or read rates by group.",
        "info",
    ),
    "pairs_without_image": IssueKind(
        "many pairs have no image",
        "Nothing, if the set has text-only pairs; otherwise name the image column with --image-column.",
        "info",
    ),
    "remote_images": IssueKind(
        "images are named by address only and were not fetched",
        "Allow fetching with --allow-remote, or download them first.",
        "info",
    ),
}

ISSUE_KINDS: Mapping[str, IssueKind] = MappingProxyType({**_PAIR_KINDS, **_SET_KINDS})
"""Every kind that `hygiene` can name."""

IMAGE_ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "missing": "missing_image",
        "outside_root": "image_outside_root",
        "empty_file": "empty_image",
        "lfs_pointer": "lfs_pointer_image",
        "not_an_image": "not_an_image",
        "unsupported_format": "unsupported_image",
        "truncated": "truncated_image",
        "too_large": "oversized_image",
        "too_many_frames": "oversized_image",
        "corrupt": "corrupt_image",
        "remote_failed": "remote_image_failed",
        "unreadable": "unreadable_image",
    }
)
"""The problem that an image error is, by the error's kind."""
