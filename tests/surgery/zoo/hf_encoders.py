"""BERT, DistilBERT, ViT and T5's encoder, as users have them from the transformers library."""

from typing import Any

from .case import Case, floats, into, out, tokens, zeroed
from .hf import SMALL, hf

__all__ = ["CASES"]

ENCODER: dict[str, Any] = SMALL | {
    "vocab_size": 24,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}

bert = hf("Bert", "ForSequenceClassification", **ENCODER)
distilbert = hf(
    "DistilBert",
    "ForMaskedLM",
    dim=16,
    n_heads=4,
    n_layers=2,
    hidden_dim=32,
    vocab_size=24,
    max_position_embeddings=32,
    **SMALL,
)
vit = hf("ViT", "ForImageClassification", image_size=8, patch_size=4, **{**ENCODER, "num_labels": 3})
t5 = hf(
    "T5",
    "EncoderModel",
    vocab_size=24,
    d_model=16,
    d_kv=4,
    d_ff=24,
    num_layers=2,
    num_heads=4,
    feed_forward_proj="gated-gelu",
    use_cache=False,
)
BERT_LAYERS = "bert.encoder.layer.*"


CASES = [
    Case(
        "hf_bert_residual_stream",
        bert,
        tokens(),
        "bert.embeddings",
        (3, 4),
        zeroed(
            out("bert.embeddings.*_embeddings"),
            out("bert.embeddings.LayerNorm"),
            out(f"{BERT_LAYERS}.attention.output.dense"),
            out(f"{BERT_LAYERS}.attention.output.LayerNorm"),
            out(f"{BERT_LAYERS}.output.dense"),
            out(f"{BERT_LAYERS}.output.LayerNorm"),
        ),
    ),
    Case(
        "hf_bert_value_head",
        bert,
        tokens(),
        "bert.encoder.layer.1.attention.self.value",
        (8, 9, 10, 11),
        zeroed(
            out("bert.encoder.layer.1.attention.self.value"),
            into("bert.encoder.layer.1.attention.output.dense"),
        ),
    ),
    Case(
        "hf_bert_ffn",
        bert,
        tokens(),
        "bert.encoder.layer.0.intermediate.dense",
        (0, 30, 31),
        zeroed(out("bert.encoder.layer.0.intermediate.dense")),
    ),
    Case(
        "hf_distilbert_ffn",
        distilbert,
        tokens(),
        "distilbert.transformer.layer.0.ffn.lin1",
        (7,),
        zeroed(out("distilbert.transformer.layer.0.ffn.lin1")),
    ),
    Case(
        "hf_distilbert_tied_residual_stream",
        distilbert,
        tokens(),
        "distilbert.embeddings",
        (1, 15),
        zeroed(
            out("distilbert.embeddings.*_embeddings"),
            out("distilbert.embeddings.LayerNorm"),
            out("distilbert.transformer.layer.*.attention"),
            out("distilbert.transformer.layer.*.sa_layer_norm"),
            out("distilbert.transformer.layer.*.ffn"),
            out("distilbert.transformer.layer.*.output_layer_norm"),
            out("vocab_transform"),
            out("vocab_layer_norm"),
        ),
        note="The tied projector reads what vocab_transform writes, at the embedding's dims.",
    ),
    Case(
        "hf_vit_residual_stream",
        vit,
        floats(2, 3, 8, 8),
        "vit.layers.0",
        (0, 6),
        zeroed(
            out("vit.embeddings"),
            out("vit.layers.*.attention"),
            out("vit.layers.*.mlp"),
            out("vit.layers.*.layernorm_before"),
            out("vit.layers.*.layernorm_after"),
            out("vit.layernorm"),
        ),
    ),
    Case(
        "hf_t5_encoder_gated_ffn",
        t5,
        tokens(),
        "encoder.block.0.layer.1.DenseReluDense.wi_1",
        (3, 20),
        zeroed(out("encoder.block.0.layer.1.DenseReluDense.wi_1")),
    ),
]
