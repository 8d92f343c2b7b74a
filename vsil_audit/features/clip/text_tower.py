"""The text half of a CLIP model, run over no more tokens than the texts at hand have, where that gives the same."""

from __future__ import annotations

from typing import Any

_SAME = 1e-5


class TextTower:
    """Calls open_clip's text tower over the first tokens only, where it may: with causal attention, a token does not
    see those after it, so that nothing after the one that is pooled matters. `exact_when_short` says whether that was
    found to hold, to 1e-5 on probes; where it does not, every text is run at full length."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._tower = getattr(module, "text", module)
        self._pool = getattr(self._tower, "text_pool_type", getattr(self._tower, "pool_type", ""))
        self._end = getattr(self._tower, "text_eos_id", getattr(self._tower, "eos_id", None))
        self.exact_when_short = False

    def probe(self, tokens: Any) -> None:
        """Find out whether short runs give the same. `tokens`: (n, context length), texts of several lengths."""
        import torch

        if not self._is_causal():
            return
        try:
            whole = torch.nn.functional.normalize(self._module.encode_text(tokens).float(), dim=-1)
            for row, expected in zip(tokens, whole, strict=True):
                short = torch.nn.functional.normalize(
                    self._short(row[None, : int(self.lengths(row[None])[0])]).float(), dim=-1
                )
                if not bool((short[0] - expected).abs().max() <= _SAME):
                    return
        except (AttributeError, RuntimeError, TypeError):  # a tower of another make
            return
        self.exact_when_short = True

    def lengths(self, tokens: Any) -> Any:
        """How many tokens of each row matter, shape (n,)."""
        import torch

        if not self._is_causal():
            return torch.full((len(tokens),), tokens.shape[1])
        ends = tokens if self._pool == "argmax" else (tokens == self._end).int()
        return ends.argmax(dim=-1) + 1

    def __call__(self, tokens: Any) -> Any:
        """Tokens (n, context length), of which those after the longest text's end may be left off where
        `exact_when_short`, to vectors (n, width)."""
        return self._short(tokens) if self.exact_when_short else self._module.encode_text(tokens)

    def _is_causal(self) -> bool:
        tower = self._tower
        masked = getattr(tower, "attn_mask", None) is not None and getattr(tower, "cls_emb", None) is None
        return masked and self._pool in ("argmax", "eos")

    def _short(self, tokens: Any) -> Any:
        import torch

        tower, size = self._tower, tokens.shape[1]
        dtype = tower.transformer.get_cast_dtype()
        states = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:size].to(dtype)
        states = tower.transformer(states, attn_mask=tower.attn_mask[:size, :size])
        pooled = tower.ln_final(states[torch.arange(len(tokens), device=tokens.device), self.lengths(tokens) - 1])
        projection = tower.text_projection
        if projection is None:
            return pooled
        return projection(pooled) if isinstance(projection, torch.nn.Linear) else pooled @ projection
