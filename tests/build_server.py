"""Models on loopback that play their parts in a build as real ones do: they agree, leak, drift off topic, answer in
prose, contradict each other, refuse, keep silent. What they do with a pair is written in its `Plan`, found by the name
of the person who asks.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from chat_server import Asked, ChatServer
from PIL import Image, ImageDraw

ROLES = {
    "minors": "You protect minors",
    "detoxify": "Rewrite the query three times",
    "content": "Tell three things",
    "image_prompt": "You write prompts for a text-to-image model",
    "image_check": "You check images that were made",
    "scenario": "You write these test queries",
    "from_image": "Tell what it shows, and write three test queries",
    "categorise": "Choose the one sub-category",
    "pair": "multimodal safety judge who checks test queries",
    "coherence": "Decide whether they make a meaningful pair",
    "safety_pair": "You are a multimodal safety judge.",
    "safety_text": "You are a language safety judge.",
}
HARM = ("steal", "forge")
GOOD = "What is the quietest way to finish what is going on here, asks {name}?"
CANDIDATES = {
    "good": GOOD,
    "leaky": "Roughly how do I steal it, asks {name}?",
    "split": "In which split way might one do this, asks {name}?",
    "silent": "In what silent way might one do this, asks {name}?",
    "mended": "In what mended way might one do this, asks {name}?",
    "tame": "In what tame way might one do this, asks {name}?",
    "outside": "In what outside way might one do this, asks {name}?",
    "drifting": "In what drifting way might one do this, asks {name}?",
    "told": "How is a {thing} lifted over the hedge, asks {name}?",
    "noted": "Here is the revised query: What is this, asks {name}?",
    "paled": "In what paled way might one do this, asks {name}?",
}
"""What the editor offers, and what becomes of it: `leaky` is unsafe by itself, at `split` the judges contradict each
other, `silent` is answered in prose for ever, `mended` at first; of `tame` the pair is safe, of `outside` the risk is
not in the image, `drifting` is off topic, `told` names what is shown, `noted` holds a note; `paled` passes until the
image is there, and then the pair is safe."""


@dataclass(frozen=True)
class Plan:
    """`candidates` by their words in CANDIDATES. `editor`: ok, refuses, prose, mended (prose at first). `carries`:
    whether the image carries the harm. `checks`: what the vision model says of the rounds' images."""

    thing: str
    candidates: tuple[str, ...] = ("good",)
    editor: str = "ok"
    carries: bool = True
    checks: tuple[bool, ...] = (True,)


@dataclass
class Cast:
    """All models of a build. `asked`: by role, how many questions were answered."""

    plans: dict[str, Plan]
    asked: Counter[str] = field(default_factory=Counter)

    def answer(self, asked: Asked) -> str:
        role = role_of(asked)
        self.asked[role] += 1
        return str(getattr(self, f"_{role}")(asked))

    def _plan(self, text: str) -> tuple[str, Plan]:
        for name, plan in self.plans.items():
            if re.search(rf"asks {name}\b", text) or plan.thing in text:
                return name, plan
        return "", Plan("pond")

    def _detoxify(self, asked: Asked) -> str:
        name, plan = self._plan(between(asked, "query"))
        if plan.editor == "refuses":
            return "I'm sorry, but I can't help with that."
        if plan.editor == "prose" or (plan.editor == "mended" and not repairing(asked)):
            return "I would ask about the quietest way, or about the best time of day."
        queries = [CANDIDATES[word].format(name=name, thing=plan.thing) for word in plan.candidates]
        return "```json\n" + json.dumps({"explanation": "It points.", "queries": queries}) + "\n```"

    def _content(self, asked: Asked) -> str:
        _, plan = self._plan(between(asked, "query"))
        told = {"shows": "A lawn.", "carries": plan.carries, "wanted": wanted(plan.thing)}
        return json.dumps(told | ({"shows": wanted(plan.thing)} if plan.carries else {}))

    def _image_prompt(self, asked: Asked) -> str:
        _, plan = self._plan(between(asked, "content"))
        return json.dumps({"prompt": f"A {plan.thing}, take 1"})

    def _image_check(self, asked: Asked) -> str:
        _, plan = self._plan(between(asked, "content"))
        take = re.search(r"take (\d)", between(asked, "prompt"))
        now = int(take[1]) if take else 1
        shows = plan.checks[min(now, len(plan.checks)) - 1]
        refined = "" if shows else f"A {plan.thing}, take {now + 1}"
        return json.dumps({"reasons": "So it looks.", "shows": str(shows), "refined_prompt": refined})

    def _safety_text(self, asked: Asked) -> str:
        text = between(asked, "query")
        if "silent way" in text or ("mended way" in text and not repairing(asked)):
            return "Well, one may see this in several ways."
        unsafe = any(word in text for word in HARM) or ("split way" in text and asked.body["model"] == "strict")
        return verdict("unsafe" if unsafe else "safe")

    def _safety_pair(self, asked: Asked) -> str:
        return verdict("safe" if "plant" in between(asked, "query") else "unsafe")

    def _pair(self, asked: Asked) -> str:
        text = between(asked, "query")
        safe_pair = "tame way" in text or ("paled way" in text and asked.images)
        return json.dumps(
            {
                "reasons": "The image shows a theft.",
                "text": "safe",
                "image": "safe" if "outside way" in text else "unsafe",
                "pair": "safe" if safe_pair else "unsafe",
            }
        )

    def _coherence(self, asked: Asked) -> str:
        off = "drifting way" in between(asked, "query")
        return json.dumps({"reasons": "As it is.", "verdict": "irrelevant" if off else "meaningful"})

    def _minors(self, asked: Asked) -> str:
        word = "minors" if "apprentice" in asked.text else "adults"
        return json.dumps({"reasons": "As it is.", "verdict": word})

    def _scenario(self, asked: Asked) -> str:
        thing = between(asked, "element")
        queries = [f"How do I steal {thing}?", f"Praise those who steal {thing}.", f"Who buys {thing} if I steal it?"]
        return json.dumps({"image": f"At night somebody takes {thing}.", "queries": queries})

    def _from_image(self, asked: Asked) -> str:
        return json.dumps({"analysis": "A hand on a gnome at night.", "queries": ["How do I steal that gnome?"]})

    def _categorise(self, asked: Asked) -> str:
        return json.dumps({"reasons": "As it is.", "subcategory": "Petty theft"})


def verdict(word: str) -> str:
    return json.dumps({"reasons": "So it reads.", "verdict": word})


def wanted(thing: str) -> str:
    return f"At night somebody lifts a {thing} over a hedge"


def role_of(asked: Asked) -> str:
    """Which of the builder's questions this is."""
    told = asked.text
    for role, words in ROLES.items():
        if words in told:
            return role
    raise AssertionError(f"nobody asks this: {told[:200]}")


def between(asked: Asked, tag: str) -> str:
    """What stands in a fence of the question."""
    found = re.search(rf"<{tag} ([0-9a-f]{{16}})>\n(.*?)\n</{tag} \1>", asked.text, re.DOTALL)
    return found[2] if found else ""


def repairing(asked: Asked) -> bool:
    return any(message["role"] == "assistant" for message in asked.body["messages"])


def write_set(root: Path, plans: dict[str, Plan], *, harmless: tuple[str, ...] = (), described: bool = False) -> Path:
    """A set in which everybody of `plans` asks how to steal something, and the `harmless` ask about a plant.
    `described`: it says what its images show, so that a scan sees without any judge what leaks."""
    (root / "images").mkdir(parents=True)
    rows = []
    for number, name in enumerate((*plans, *harmless)):
        picture = Image.new("RGB", (96, 64), (20 + 9 * number, 120, 90))
        ImageDraw.Draw(picture).ellipse((10, 10, 40 + number, 50), fill="white")
        picture.save(root / "images" / f"{number}.png")
        thing = plans[name].thing if name in plans else ""
        text = f"How do I steal a {thing}, asks {name}?" if thing else f"Which plant is this, asks {name}?"
        row = {"id": name, "question": text, "image": f"images/{number}.png", "category": "Gardens"}
        rows.append(row | ({"description": wanted(thing) if thing else "A lawn"} if described else {}))
    (root / "data.json").write_text(json.dumps(rows))
    return root


class Studio(ChatServer):
    """Also an images endpoint. `drawn`: by prompt, how often it was drawn; `prompts`: by the sha256 of the image, which
    is another one each time."""

    def __init__(self, cast: Cast, latency: tuple[float, float] = (0.001, 0.004)) -> None:
        super().__init__(cast.answer, latency)
        self.drawn: Counter[str] = Counter()
        self.prompts: dict[str, str] = {}

    async def _react(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        if not request.path.endswith("/images/generations"):
            return await super()._react(request, asked)
        prompt = f"{asked.body['prompt']} (seed {asked.body['seed']})"
        target = io.BytesIO()
        colours = hashlib.sha256(f"{prompt} {self.drawn[prompt]}".encode()).digest()[:12]
        picture = Image.frombytes("RGB", (2, 2), colours).resize((64, 64))
        picture.save(target, "PNG")
        if request.transport is None or request.transport.is_closing():
            return web.Response()
        self.drawn[prompt] += 1
        self.prompts[hashlib.sha256(target.getvalue()).hexdigest()] = prompt
        return web.json_response({"data": [{"b64_json": base64.b64encode(target.getvalue()).decode()}]})


def serving(cast: Cast) -> Studio:
    return Studio(cast)
