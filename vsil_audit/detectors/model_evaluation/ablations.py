"""The ablations of the VLSBench paper (section 5) by name: what each adds to an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from vsil_audit.detectors.chat import AskOptions, Condition
from vsil_audit.detectors.model_evaluation.image_classifier import OF_THE_PAPER
from vsil_audit.detectors.model_evaluation.safety_prompts import SHIPPED
from vsil_audit.errors import ConfigurationError

DEFAULT_CONDITIONS = (Condition.PAIR, Condition.TEXT)

CAPTION, NO_IMAGE, SAFETY_PROMPT, NSFW = "caption", "no-image", "safety-prompt", "nsfw"
ABLATIONS: MappingProxyType[str, tuple[Condition, ...]] = MappingProxyType(
    {
        CAPTION: (Condition.PAIR, Condition.TEXT, Condition.CAPTION),
        NO_IMAGE: (Condition.PAIR, Condition.TEXT),
        SAFETY_PROMPT: (Condition.PAIR,),
        NSFW: (),
    }
)
"""The conditions that each needs."""


def with_ablations(options: AskOptions, names: Sequence[str]) -> AskOptions:
    """The options with what the ablations need added to what was asked for.

    `options.conditions` empty: those of the ablations, or `pair` and `text` where they need none. `safety-prompt` adds
    both shipped prompts, under `pair` alone unless other prompts were named; `nsfw` has the images looked at by the
    classifiers that were named, or by the paper's two. Raises ConfigurationError for an unknown name.
    """
    unknown = next((name for name in names if name not in ABLATIONS), None)
    if unknown is not None:
        raise ConfigurationError(f"there is no ablation {unknown!r}", f"Ablations: {', '.join(ABLATIONS)}.")
    needed = [condition for name in names for condition in ABLATIONS[name]]
    conditions = tuple(dict.fromkeys((*options.conditions, *needed))) or DEFAULT_CONDITIONS
    options = replace(options, conditions=conditions)
    if SAFETY_PROMPT in names:
        options = replace(
            options,
            safety_prompts=tuple(dict.fromkeys((*options.safety_prompts, *SHIPPED))),
            safety_prompt_conditions=() if options.safety_prompts else ABLATIONS[SAFETY_PROMPT],
        )
    if NSFW in names and not options.image_classifiers:
        options = replace(options, image_classifiers=OF_THE_PAPER)
    return options
