"""Texts to compare tokenizers on: a generator that repeats itself for a seed."""

import random
import unicodedata

SENTENCES = {
    "English": "The quick brown fox jumps over the lazy dog; it isn't what we'd HOPED for, they'll say.",
    "French": "L'élève naïf a reçu une réponse évidente : « où êtes-vous allé cet été ? »",
    "German": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, Straßenbahnhaltestelle inklusive.",
    "Turkish": "Pijamalı hasta yağız şoföre çabucak güvendi; İstanbul'da ıslık çalıyordu.",
    "Vietnamese": "Công việc của tôi là viết mã nguồn mở cho mọi người dùng thử nghiệm miễn phí.",
    "Russian": "Съешь же ещё этих мягких французских булок, да выпей чаю, пожалуйста!",
    "Ukrainian": "Чуєш їх, доцю, га? Кумедна ж ти, прощайся без ґольфів!",
    "Greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· τι κάνεις σήμερα το πρωί;",
    "Hebrew": "דג סקרן שט בים מאוכזב ולפתע מצא לו חברה, שָׁלוֹם עֲלֵיכֶם.",
    "Arabic": "نصٌّ حكيمٌ له سرٌّ قاطعٌ وذو شأنٍ عظيمٍ مكتوبٌ على ثوبٍ أخضر، ١٢٣٤٥.",
    "Persian": "در صورت حذف این چند واژه غلط، شکیل، ثبت و پخش می‌شود ۴۵۶۷.",
    "Hindi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले, १२३४।",
    "Bengali": "আষাঢ় মাসে আকাশ ভরা মেঘ, বৃষ্টি পড়ে টাপুর টুপুর ৫৬৭।",
    "Tamil": "யாமறிந்த மொழிகளிலே தமிழ்மொழி போல் இனிதாவது எங்கும் காணோம்.",
    "Telugu": "దేశ భాషలందు తెలుగు లెస్స, పాలు నీళ్ళు కలిసినట్లు.",
    "Thai": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน ๑๒๓",
    "Khmer": "ខ្ញុំអាចញ៉ាំកញ្ចក់បានដោយគ្មានបញ្ហា ១២៣",
    "Burmese": "သီဟိုဠ်မှ ဉာဏ်ကြီးရှင်သည် အာယုဝဍ္ဎနဆေးညွှန်းစာကို ၁၂၃",
    "Georgian": "საქართველოს მთები და ზღვა, გამარჯობა მეგობარო!",
    "Armenian": "Բարեւ Ձեզ, ինչպե՞ս եք այսօր։",
    "Amharic": "ሰላም ለዓለም፤ እንዴት ነህ ዛሬ? ፩፪፫",
    "Chinese": "视野无限广，窗外有蓝天。人工智能正在改变世界，我们应该如何应对？２０２６年",
    "Traditional": "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。𠮷野家𡃁",
    "Japanese": "いろはにほへと ちりぬるを、ワガヨタレソ ツネナラム。私は東京に住んでいます①②Ⅳ",
    "Korean": "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. ㄱㄴㄷ",
    "Cherokee": "ᎣᏏᏲ ᏙᎯᏧ ᎠᏂᏴᏫᏯ",
    "Gothic": "𐌰𐍄𐍄𐌰 𐌿𐌽𐍃𐌰𐍂 𐌸𐌿 𐌹𐌽 𐌷𐌹𐌼𐌹𐌽𐌰𐌼",
    "Combining": "e\u0301a\u0300o\u0308 Z\u0351\u036b\u0343a\u0301l\u0334go\u0327 ﬁﬀ ǅ ª º ʰ",
}
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇫🇷🇩🇪", "❤️", "🧑🏿‍💻", "1️⃣", "©®™", "☃", "🫠", "\U0001FAE8", "🏴\U000E0067\U000E0062\U000E007F"]
CODE = [
    "def f(x, y=None):\n    return [i**2 for i in range(x) if i % 2 == 0]  # squares\n",
    "func (t *T) Get(k string) (v int, ok bool) {\n\tv, ok = t.m[k]\n\treturn\n}\n",
    "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", 0x7fff'ffff); }\r\n",
    "<div class=\"a b\" id='x'>&nbsp;&#8212;</div>\n<!-- ... -->",
    "SELECT a.*, COUNT(1) FROM t1 a WHERE a.x<>'it''s' GROUP BY 1;",
    "{\"key\": [1, 2.5e-10, null, true, \"\\u00e9\"]}",
    "$ curl -sSL https://example.org/a?b=c&d=%20 | tar xz --strip-components=1",
    "x = $\\frac{\\partial^2 u}{\\partial x^2}$ + ∑ᵢ αᵢ² ≤ ∞",
    "if(a&&b||!c){d->e::f<g>>=h;}//!!!???...---===___",
]
SPACES = [" ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r\n\r\n", "\r", " \n", "\n ", " \t ", "\u00a0", "\u2003",
          "\u3000", "\u2028", "\u0085", "\u200b", "\ufeff", "\u1680", "\x0b", "\x0c", "\x1c", "\u180e", "\u202f"]
NUMBERS = ["0", "7", "42", "123", "1234", "3.14159", "1,000,000", "0x1F", "1e-9", "٣٤٥٦", "१२३४", "½", "Ⅷ", "²³", "㊿", "１２３４", "𝟘𝟙𝟚𝟛", "༡༢༣"]
WORDS = ["'s", "'S", "'re", "'RE", "'Ve", "'ll", "'LL", "'d", "'m", "'T", "'ſ", "it's", "I'M", "don't've", "''s", "'sam", "'lla", "ſ", "K", "İ",
         "THE", "iPhone", "snake_case", "camelCase", "x86_64", "a.b.c", "...", "!!!", "?!", "—", "“quoted”", "$5.00", "#tag", "@user", "a@b.co"]
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>",
           "<|finetune_right_pad_id|>", "<|reserved_special_token_5|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>",
           "<|eot_id", "<|eot_id|", "<|", "|>", "<|eot_id|>>", "<<|eot_id|>", "<| eot_id |>", "<|EOT_ID|>", "<|reserved_special_token_|>"]
RUNS = ["a", "A", "z", " ", "=", "-", "\n", "\t", "0", "9", "é", "中", "😀", "ab", "the", " a", "\r\n", "'", "<", "ก"]


def characters():
    """Every character, also those too new for this Python, in contexts that the splitters treat apart."""
    for r in (range(0, 0xD800), range(0xE000, 0x33500), range(0xE0000, 0xE0200), range(0x10FF00, 0x110000)):
        for c in map(chr, r):
            yield f"{c} a{c}a 1{c}2 {c}!{c}\n {c}  {c}"


def texts(seed, n):
    """n texts of up to a few hundred characters, all of a kind or mixed."""
    rnd = random.Random(seed)
    sentences = list(SENTENCES.values())
    words = [w for s in sentences for w in s.split()]
    assigned = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cs", "Co", "Cn")]

    def part():
        k = rnd.randrange(12)
        if k == 0:
            return rnd.choice(sentences)
        if k == 1:
            return rnd.choice(EMOJI) * rnd.choice([1, 1, 2])
        if k == 2:
            s = rnd.choice(CODE)
            i = rnd.randrange(len(s))
            return s[i:i + rnd.randrange(60)]
        if k == 3:
            return "".join(rnd.choices(SPACES, k=rnd.randrange(1, 4)))
        if k == 4:
            return rnd.choice(NUMBERS) + rnd.choice(["", " ", "%", "km"])
        if k == 5:
            return str(rnd.randrange(10 ** rnd.randrange(1, 20)))
        if k == 6:
            return rnd.choice(SPECIAL)
        if k == 7:
            return rnd.choice(RUNS) * rnd.randrange(1, 90)
        if k == 8:
            return "".join(rnd.choices(assigned, k=rnd.randrange(1, 8)))
        if k == 9:
            return "".join(chr(rnd.randrange(0x80)) for _ in range(rnd.randrange(1, 12)))
        if k == 10:
            return "".join(rnd.choices("etaoinshrdlu ETAOIN'", k=rnd.randrange(1, 150)))
        return rnd.choice(words) + rnd.choice(["", " ", " ", "\n", "'s ", ", "])

    for _ in range(n):
        yield "".join(part() for _ in range(rnd.randrange(1, 9)))
