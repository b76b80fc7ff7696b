"""Writes cases: one JSON object per line with a text and its ids by each tokenizer.

"llama-3.1" and "smollm2" are the ids of the text as user text, and "... special"
those with control tokens taken from it, where they differ.

    python3 tokenizer/testdata/write.py            > tokenizer/testdata/golden.jsonl
    python3 tokenizer/testdata/write.py 100000     > cases.jsonl
    python3 tokenizer/testdata/write.py characters > characters.jsonl
    go test ./tokenizer -run TestGolden -cases $PWD/cases.jsonl

needs: go run ./testdata/fetch, and pip install tokenizers gguf. golden.jsonl was
made with tokenizers 0.23.3.
"""

import json
import sys

import reference
import texts


def golden():
    yield ""
    for kind in (texts.SENTENCES.values(), texts.EMOJI, texts.CODE, texts.SPACES, texts.NUMBERS, texts.WORDS, texts.SPECIAL):
        yield from kind
    for s in texts.SPACES:
        yield f"a{s}b{s}1{s}!{s}"
    for r in texts.RUNS:
        yield r * 9
        yield r * 130
    yield "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    yield "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    yield from ("".join(map(chr, range(i, i + 64))) for i in range(0, 256, 64))
    yield from texts.texts(1, 120)


def main():
    which = sys.argv[1] if len(sys.argv) > 1 else "golden"
    cases = golden() if which == "golden" else texts.characters() if which == "characters" else texts.texts(2, int(which))
    models = {name: make() for name, make in reference.MODELS.items()}
    out = open(sys.stdout.fileno(), "w", encoding="utf-8", newline="\n", closefd=False)
    for text in cases:
        case = {"text": text}
        for name, (plain, special) in models.items():
            case[name] = reference.ids(plain, text)
            ids = reference.ids(special, text)
            if ids != case[name]:
                case[name + " special"] = ids
        print(json.dumps(case, ensure_ascii=False, separators=(",", ":")), file=out)


main()
