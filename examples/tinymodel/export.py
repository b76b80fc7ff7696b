"""Writes what train.py left as a GGUF file, Q8_0.

    python examples/tinymodel/export.py --model model --out examples/tinymodel/tiny.gguf
"""

import argparse
import json
import os

import gguf
import torch
from model import SPECIAL, Config, rope_factors

# Llama 3.1's chat format without tools. The system header's dates are those that Llama 3.1 was given.
TEMPLATE = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\nToday Date: 26 Jul 2024\\n\\n' + system + '<|eot_id|>' }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True, help="the folder that train.py wrote")
    p.add_argument("--out", required=True)
    a = p.parse_args()
    c = Config()
    state = torch.load(os.path.join(a.model, "model.pt"))
    with open(os.path.join(a.model, "tokenizer.json"), encoding="utf-8") as f:
        bpe = json.load(f)["model"]
    tokens = [None] * c.vocab
    for token, i in bpe["vocab"].items():
        tokens[i] = token
    tokens[-len(SPECIAL) :] = SPECIAL
    assert None not in tokens

    w = gguf.GGUFWriter(a.out, "llama")
    w.add_type("model")
    w.add_name("llama31 tiny demonstration")
    w.add_basename("llama31-tiny")
    w.add_size_label(f"{sum(p.numel() for p in state.values()) / 1e6:.1f}M")
    w.add_description("Tells short stories; trained on made-up dialogues by examples/tinymodel of github.com/llama31/llama31")
    w.add_license("Apache-2.0")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_block_count(c.layers)
    w.add_context_length(c.context)
    w.add_embedding_length(c.hidden)
    w.add_feed_forward_length(c.ffn)
    w.add_head_count(c.heads)
    w.add_head_count_kv(c.kv_heads)
    w.add_layer_norm_rms_eps(c.eps)
    w.add_rope_freq_base(c.theta)
    w.add_rope_dimension_count(c.head)
    w.add_vocab_size(c.vocab)
    w.add_float32("general.sampling.temp", 0.6)
    w.add_float32("general.sampling.top_p", 0.9)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.NORMAL] * (c.vocab - len(SPECIAL)) + [gguf.TokenType.CONTROL] * len(SPECIAL))
    w.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in bpe["merges"]])
    w.add_bos_token_id(tokens.index("<|begin_of_text|>"))
    w.add_eos_token_id(tokens.index("<|eot_id|>"))
    w.add_pad_token_id(tokens.index("<|finetune_right_pad_id|>"))
    w.add_add_bos_token(True)
    w.add_chat_template(TEMPLATE)

    w.add_tensor("rope_freqs.weight", rope_factors(c)[0].numpy())
    for name, t in state.items():
        t = t.float().numpy()
        if t.ndim == 1:
            w.add_tensor(name, t)
        else:
            w.add_tensor(name, gguf.quantize(t, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
