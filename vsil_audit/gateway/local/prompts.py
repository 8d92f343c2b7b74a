"""What the model gets: conversations through its own chat template, texts and pixels as padded tensors."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from PIL import Image

from vsil_audit.gateway.local.loading import LoadedModel
from vsil_audit.gateway.messages import ImagePart, Message, Request

Conversation = list[dict[str, Any]]


class PromptWriter:
    """Writes requests as one model wants them. Used by one thread at a time."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        template = str(loaded.processor.chat_template)
        added = loaded.tokenizer.added_tokens_decoder.values()
        self._control = tuple(
            token.content for token in added if token.content.strip() and (token.special or token.content in template)
        )
        self.writes_control_tokens_as_text = (
            "sanitize_control_tokens" in inspect.signature(loaded.processor.apply_chat_template).parameters
        )
        self._takes_parts = loaded.sees and self._reads_parts()

    def _reads_parts(self) -> bool:
        """Whether the template reads a list of parts. Some models that see have one for text: it would print the list,
        or break on it."""
        turn = {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
        try:
            return "'type'" not in self._render([turn])
        except Exception:  # noqa: BLE001 - a template is a program of the model's makers
            return False

    def control_token(self, request: Request) -> str | None:
        """A token of the model's own machinery (end of turn, place of an image) that stands in the request's texts.

        Taken for what it says it would end the message there, or call for an image that does not exist: texts are
        data. Such a request is written by `inputs` with that token as plain text, where transformers can.
        """
        texts = [message.text for message in request.messages]
        return next((token for token in self._control if any(token in text for text in texts)), None)

    def inputs(self, requests: Sequence[Request], pixels: Sequence[Sequence[Image.Image]], *, as_text: bool) -> Any:
        """The model's inputs for all of them, padded on the left: `input_ids` and `attention_mask` of shape (requests,
        tokens), and whatever else the model takes. `pixels`: each request's images in order. `as_text`: control tokens
        in texts are text.

        Raises what transformers and the template raise for requests that they cannot write, and ValueError where the
        template would leave out something that is asked.
        """
        written = [self._write(request, images) for request, images in zip(requests, pixels, strict=True)]
        if as_text:
            return self._sanitized([conversation for conversation, _ in written])
        return self._plain([prompt for _, prompt in written], pixels)

    def _write(self, request: Request, images: Sequence[Image.Image]) -> tuple[Conversation, str]:
        """The turns as the template takes them, and the prompt. Where it refuses a system's instructions, or drops them
        without a word, they go before the first words of the user."""
        from jinja2 import TemplateError

        instructed = any(message.role == "system" for message in request.messages)
        try:
            return self._rendered(request.messages, images)
        except (TemplateError, ValueError):
            if not instructed:
                raise
        return self._rendered(_without_system(request.messages), images)

    def _rendered(self, messages: Sequence[Message], images: Sequence[Image.Image]) -> tuple[Conversation, str]:
        turns = self._turns(messages, images)
        prompt = self._render(turns)
        asked = [part for message in messages if message.role != "assistant" for part in message.parts]
        if not all(part.strip() in prompt for part in asked if isinstance(part, str)):
            raise ValueError("its chat template leaves out some of the text")
        return turns, prompt

    def _turns(self, messages: Sequence[Message], images: Sequence[Image.Image]) -> Conversation:
        if not self._takes_parts:
            return [{"role": message.role, "content": message.text} for message in messages]
        waiting = iter(images)
        return [
            {
                "role": message.role,
                "content": [
                    {"type": "image", "image": next(waiting)}
                    if isinstance(part, ImagePart)
                    else {"type": "text", "text": part}
                    for part in message.parts
                ],
            }
            for message in messages
        ]

    def _render(self, turns: Conversation) -> str:
        return str(self._loaded.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def _plain(self, prompts: list[str], pixels: Sequence[Sequence[Image.Image]]) -> Any:
        if not self._loaded.sees:
            return self._loaded.tokenizer(prompts, padding=True, add_special_tokens=False, return_tensors="pt")
        begin = self._loaded.tokenizer.bos_token
        return self._loaded.processor(
            text=prompts,
            images=[list(images) for images in pixels] if any(pixels) else None,
            padding=True,
            add_special_tokens=not (begin and prompts[0].startswith(begin)),
            return_tensors="pt",
        )

    def _sanitized(self, conversations: Sequence[Conversation]) -> Any:
        how: dict[str, Any] = {"processor_kwargs": {"padding": True}} if self._loaded.sees else {"padding": True}
        return self._loaded.processor.apply_chat_template(
            list(conversations),
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            sanitize_control_tokens=True,
            **how,
        )


def _without_system(messages: Sequence[Message]) -> list[Message]:
    instructions = "\n\n".join(message.text for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    for place, message in enumerate(rest):
        if message.role == "user":
            first, *others = message.parts
            opening = (f"{instructions}\n\n{first}",) if isinstance(first, str) else (f"{instructions}\n\n", first)
            return [*rest[:place], Message("user", (*opening, *others)), *rest[place + 1 :]]
    return [Message.user(instructions), *rest]
