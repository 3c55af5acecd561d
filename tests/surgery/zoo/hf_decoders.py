"""Llama, GPT-2, Qwen-MoE and Mixtral, as users have them from the transformers library."""

from typing import Any

from .case import Case, into, out, tokens, zeroed
from .hf import SMALL, hf

__all__ = ["CASES"]

DECODER: dict[str, Any] = SMALL | {
    "vocab_size": 24,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "use_cache": False,
    "rms_norm_eps": 1e-3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

llama = hf("Llama", "ForCausalLM", **DECODER)
gpt2 = hf(
    "GPT2",
    "LMHeadModel",
    n_embd=16,
    n_head=4,
    n_layer=2,
    n_positions=32,
    vocab_size=24,
    use_cache=False,
    bos_token_id=1,
    eos_token_id=2,
    **SMALL,
)
qwen_moe = hf(
    "Qwen2Moe",
    "ForCausalLM",
    num_experts=3,
    num_experts_per_tok=2,
    moe_intermediate_size=8,
    shared_expert_intermediate_size=12,
    experts_implementation="eager",
    **DECODER,
)
mixtral = hf("Mixtral", "ForCausalLM", num_local_experts=3, experts_implementation="eager", **DECODER)

LAYERS = "model.layers.*"
DECODER_STREAM = (
    out("model.embed_tokens"),
    out(f"{LAYERS}.self_attn"),
    out(f"{LAYERS}.mlp"),
    out(f"{LAYERS}.input_layernorm"),
    out(f"{LAYERS}.post_attention_layernorm"),
    out("model.norm"),
)
GPT2_LAYERS = "transformer.h.*"

IN_FLOAT32: dict[str, Any] = {
    "prune": "exact after folding",
    "float64_tolerance": 1e-5,
    "note": "Its RMSNorm computes in float32.",
}

CASES = [
    Case(
        "hf_llama_residual_stream",
        llama,
        tokens(),
        "model.layers.0",
        (2, 11),
        zeroed(*DECODER_STREAM),
        **IN_FLOAT32,
    ),
    Case(
        "hf_llama_tied_residual_stream",
        hf("Llama", "ForCausalLM", tie_word_embeddings=True, **DECODER),
        tokens(),
        "model.embed_tokens",
        (5,),
        zeroed(*DECODER_STREAM),
        **IN_FLOAT32,
    ),
    Case(
        "hf_llama_mlp",
        llama,
        tokens(),
        "model.layers.1.mlp.up_proj",
        (0, 9),
        zeroed(out("model.layers.1.mlp.up_proj")),
    ),
    Case(
        "hf_llama_kv_head",
        llama,
        tokens(),
        "model.layers.0.self_attn.v_proj",
        (4, 5, 6, 7),
        zeroed(
            out("model.layers.0.self_attn.v_proj"), into("model.layers.0.self_attn.o_proj", dims=range(8, 16))
        ),
    ),
    Case(
        "hf_gpt2_tied_residual_stream",
        gpt2,
        tokens(),
        "transformer.h.0",
        (0, 13),
        zeroed(
            out("transformer.wte"),
            out("transformer.wpe"),
            out(f"{GPT2_LAYERS}.attn"),
            out(f"{GPT2_LAYERS}.mlp"),
            out(f"{GPT2_LAYERS}.ln_1"),
            out(f"{GPT2_LAYERS}.ln_2"),
            out("transformer.ln_f"),
        ),
    ),
    Case(
        "hf_gpt2_value_head",
        gpt2,
        tokens(),
        "transformer.h.1.attn.c_attn",
        (44, 45, 46, 47),
        zeroed(
            out("transformer.h.1.attn.c_attn"), into("transformer.h.1.attn.c_proj", dims=(12, 13, 14, 15))
        ),
        note="The width it is split into is an attribute.",
    ),
    Case(
        "hf_gpt2_mlp",
        gpt2,
        tokens(),
        "transformer.h.0.mlp.c_fc",
        (1, 60),
        zeroed(out("transformer.h.0.mlp.c_fc")),
    ),
    Case(
        "hf_qwen2_moe_residual_stream",
        qwen_moe,
        tokens(),
        "model.layers.0",
        (2, 11),
        zeroed(*DECODER_STREAM),
        **IN_FLOAT32,
    ),
    Case(
        "hf_qwen2_moe_shared_expert",
        qwen_moe,
        tokens(),
        "model.layers.0.mlp.shared_expert.gate_proj",
        (2, 11),
        zeroed(out("model.layers.0.mlp.shared_expert.gate_proj")),
    ),
    Case(
        "hf_mixtral_residual_stream",
        mixtral,
        tokens(),
        "model.embed_tokens",
        (14,),
        zeroed(*DECODER_STREAM),
        **IN_FLOAT32,
    ),
]
