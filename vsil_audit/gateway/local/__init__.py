"""Models that run in this process, through transformers: `hf/ORG/NAME` and `hf/PATH-TO-FOLDER`.

`folder` finds the model on disk, `loading` puts it into memory, `prompts` writes what it gets, `generation` runs one
batch, `tokens` chooses its tokens, `fitting` finds the size that fits into memory, `batching` collects requests into
batches, `provider` is the gateway's view of it all.
"""

from vsil_audit.gateway.local.provider import LocalProvider

__all__ = ["LocalProvider"]
