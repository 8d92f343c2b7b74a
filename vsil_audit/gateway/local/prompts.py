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
        template = loaded.processor.chat_template or loaded.tokenizer.chat_template
        added = loaded.tokenizer.added_tokens_decoder.values()
        self._control = tuple(
            token.content
            for token in added
            if token.content.strip() and (token.special or token.content in str(template))
        )
        self.writes_control_tokens_as_text = (
            "sanitize_control_tokens" in inspect.signature(loaded.processor.apply_chat_template).parameters
        )

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

        Raises what transformers and the template raise for requests that they cannot write.
        """
        conversations = [self._conversation(request, images) for request, images in zip(requests, pixels, strict=True)]
        return self._sanitized(conversations) if as_text else self._plain(conversations, pixels)

    def _conversation(self, request: Request, images: Sequence[Image.Image]) -> Conversation:
        """The turns as the template takes them. Where it refuses a system's instructions, or drops them without a word,
        they go before the first words of the user."""
        turns = self._turns(request.messages, images)
        instructions = [message.text.strip() for message in request.messages if message.role == "system"]
        if not instructions:
            return turns
        from jinja2 import TemplateError

        try:
            [written] = self._render([turns])
        except TemplateError:
            written = ""
        if all(text in written for text in instructions):
            return turns
        return self._turns(_without_system(request.messages), images)

    def _turns(self, messages: Sequence[Message], images: Sequence[Image.Image]) -> Conversation:
        if not self._loaded.sees:
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

    def _render(self, conversations: Sequence[Conversation]) -> list[str]:
        rendered = self._loaded.processor.apply_chat_template(
            list(conversations), tokenize=False, add_generation_prompt=True
        )
        return [str(prompt) for prompt in rendered]

    def _plain(self, conversations: Sequence[Conversation], pixels: Sequence[Sequence[Image.Image]]) -> Any:
        prompts = self._render(conversations)
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
