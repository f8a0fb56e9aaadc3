"""Tiny pipelines of diffusers with random weights, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)

UNET = {
    "sample_size": 8,
    "layers_per_block": 1,
    "block_out_channels": (8, 8),
    "norm_num_groups": 4,
}


def vae():
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=16,
        scaling_factor=0.18215,
    )


def ddpm():
    unet = UNet2DModel(
        **UNET,
        in_channels=1,
        out_channels=1,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )
    return DDPMPipeline(unet, DDPMScheduler())


def dit():
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=1000,
    )
    return DiTPipeline(transformer, vae(), DDIMScheduler())


def text_to_image(kind=StableDiffusionPipeline, scheduler=None):
    import transformers

    unet = UNet2DConditionModel(
        **UNET,
        in_channels=4,
        out_channels=4,
        cross_attention_dim=8,
        attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    tokenizer = small_tokenizer()
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return kind(
        vae=vae(),
        text_encoder=transformers.CLIPTextModel(config),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler or PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def small_tokenizer():
    from transformers import CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=16
    )


PIPELINES = {
    "plain": ddpm,
    "class": dit,
    "text": text_to_image,
    "image": lambda: text_to_image(StableDiffusionImg2ImgPipeline),
}


def save(kind: str, path: Path) -> Path:
    """A pipeline of that kind, saved."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        pipeline = PIPELINES[kind]()
        for component in pipeline.components.values():
            if isinstance(component, torch.nn.Module):
                for weight in component.parameters():  # some begin as zeros, which would hide faults
                    weight.data.add_(torch.randn(weight.shape), alpha=0.02)
        pipeline.save_pretrained(path)
    if kind == "class":
        edit(path / "model_index.json", id2label={"0": "cat", "1": "dog", "2": "cat"})
    return path


def edit(file: Path, **changes: object) -> None:
    """Change values in a JSON file; None removes one."""
    content = json.loads(file.read_text())
    for name, value in changes.items():
        content[name] = value
        if value is None:
            del content[name]
    file.write_text(json.dumps(content))
