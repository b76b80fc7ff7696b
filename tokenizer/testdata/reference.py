"""The tokenizers to compare with: Hugging Face's, by pip install tokenizers gguf."""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

FETCHED = "testdata/fetched/"  # from the root of the module; by go run ./testdata/fetch


def llama31():
    """The tokenizers of user text and of template text."""
    import json

    special = Tokenizer.from_file(FETCHED + "llama-3.1/tokenizer.json")
    plain = json.loads(special.to_str())
    plain["added_tokens"] = []
    plain["post_processor"] = None
    return Tokenizer.from_str(json.dumps(plain)), special


def smollm2():
    """Rebuilt as Hugging Face's SmolLM2 has it, from what its GGUF file carries."""
    from gguf import GGUFReader

    fields = GGUFReader(FETCHED + "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf").fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = fields["tokenizer.ggml.merges"].contents()

    def make():
        t = Tokenizer(models.BPE(
            vocab={t: i for i, t in enumerate(tokens)},
            merges=[tuple(m.split(" ")) for m in merges],
        ))
        t.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ])
        t.decoder = decoders.ByteLevel()
        return t

    special = make()
    special.add_special_tokens([AddedToken(t, normalized=False, special=True) for t, k in zip(tokens, types) if k == 3])
    return make(), special


MODELS = {"llama-3.1": llama31, "smollm2": smollm2}


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids
