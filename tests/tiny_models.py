"""Models of real classes with small random weights, made in a second: they answer nonsense, by the real code.

Text is read byte by byte, so that anything can be asked; in larger pieces, where a model was given texts to learn them
from. Import torch and transformers only through here, after `pytest.importorskip`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

SPECIAL = ("<pad>", "<s>", "</s>", "<|turn|>", "<image>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|turn|>{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"
)
CONTEXT = 1024
LEARNT_PIECES = 1024


def save_tiny_llama(folder: Path, *, seed: int = 0, template: str | None = TEMPLATE, context: int = CONTEXT) -> Path:
    """A Llama of two layers, for text alone."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    tokenizer.chat_template = template
    LlamaForCausalLM(_text_config(context, len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_llava(
    folder: Path,
    *,
    seed: int = 0,
    template: str = TEMPLATE,
    context: int = CONTEXT,
    learnt_from: Sequence[str] = (),
    terse: bool = False,
) -> Path:
    """A LLaVA of two layers that looks at images of 32 × 32 pixels, 16 tokens each. Needs no torchvision.

    `learnt_from`: texts like these are read in a quarter of the tokens. `terse`: every eighth token ends an answer.
    """
    import torch
    from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(seed)
    tokenizer = _tokenizer(learnt_from)
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        initializer_range=1.0,
    )
    config = LlavaConfig(
        text_config=_text_config(context, len(tokenizer)),
        vision_config=vision,
        image_token_id=SPECIAL.index("<image>"),
        image_seq_length=16,
        vision_feature_layer=-1,
    )
    model = LlavaForConditionalGeneration(config)
    if terse:
        model.generation_config.eos_token_id = [SPECIAL.index("</s>"), *range(len(SPECIAL), len(tokenizer), 8)]
    model.save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    return folder


def save_tiny_vit(folder: Path, *, seed: int = 3, labels: Sequence[str] = ("normal", "nsfw")) -> Path:
    """A ViT of two layers that looks at images of 32 × 32 pixels and tells `labels` apart by chance alone."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    torch.manual_seed(seed)
    config = ViTConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        initializer_range=1.0,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def _text_config(context: int, vocabulary: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=SPECIAL.index("<s>"),
        eos_token_id=SPECIAL.index("</s>"),
        pad_token_id=SPECIAL.index("<pad>"),
        initializer_range=1.0,  # large enough that what is asked decides what is answered
    )


def _tokenizer(learnt_from: Sequence[str] = ()) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate([*SPECIAL, *letters])}, merges=[]))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    if learnt_from:
        trainer = trainers.BpeTrainer(
            vocab_size=LEARNT_PIECES, special_tokens=list(SPECIAL), initial_alphabet=letters, show_progress=False
        )
        pieces.train_from_iterator(learnt_from, trainer)
    pieces.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>", "turn_token": "<|turn|>"},
    )


def save_tiny_diffusion(folder: Path, *, seed: int = 0) -> Path:
    """A Stable Diffusion 3 of two layers, with its three text encoders: images of 16 x 16 pixels and upwards."""
    import torch
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config, T5EncoderModel

    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    tokenizer.model_max_length = 77
    clip = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=16,
        bos_token_id=SPECIAL.index("<s>"),
        eos_token_id=SPECIAL.index("</s>"),
        pad_token_id=SPECIAL.index("<pad>"),
    )
    t5 = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=16, num_layers=2, num_heads=2)
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=32,
        out_channels=4,
        pos_embed_max_size=96,
    )
    vae = AutoencoderKL(
        block_out_channels=(8,),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        shift_factor=0.06,
        scaling_factor=1.5,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=CLIPTextModelWithProjection(clip),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(clip),
        tokenizer_2=tokenizer,
        text_encoder_3=T5EncoderModel(t5),
        tokenizer_3=tokenizer,
    ).save_pretrained(folder)
    return folder
