"""Writes pieces.json: lists of pieces that this package and ../../testdata/teststrings.py build strings of. Run it in this folder."""
import json

words = """the of and to in a is that for it with as was on be at by this had not are but from or have an they which one you were
her all she there would their we him been has when who will more no if out so said what up its about into than them can only other
new some could time these two may then do first any my now such like our over man me even most made after also did many before must
through back years where much your way well down should because each just those people how too little state good very make world
still own see men work long get here between both life being under never day same another know while last might us great old year
off come since against go came right used take three themselves unlearning distributed gradient checkpoint""".split()
prose = """This person's date of birth is May 14, 1988.|Amelia Kuznetsov, Riga (Latvia)|$75,000 per year|What is this person's profession?
I'm sure they've said we'll, he'd and it's|DON'T SHOUT AT O'Neill|rock 'n' roll|e.g. 3.14%, 1e-5, #42|https://example.org/a?b=c&d=e#f
someone@example.org|don’t “quote” — dash… ellipsis|CamelCaseIdentifier snake_case_name kebab-case|a/b\\c|1,234,567.89|2024-05-17T12:34:56Z""".replace("\n", "|").split("|")
code = ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\ta[i] += 1;\n}\n", "<div class=\"x\">&amp;</div>", "{\"k\": [1, 2, null]}",
        "SELECT * FROM t WHERE a >= 'b';", "if err != nil {\n\t\treturn err\n\t}\n", "x->y::z<T>&", "// comment\r\n", "\\frac{a}{b}^{2}", "#!/bin/sh\n", "a&&b||!c", "λx.x", "```\n", "    ", "        "]
scripts = """Привет|мир|Москва|Łódź|naïve|café|Straße|ΣΑΣ|Ελλάδα|ελλάς|İstanbul|ığdır|Việt|Nam|tiếng|日本語|東京都|漢字かな|カタカナ|ﾊﾝｶｸ|中文|繁體|简体字|한국어|서울특별시|العربية|مُحَمَّد|عربي١٢٣
עברית|שָׁלוֹם|हिन्दी|क्षत्रिय|বাংলা|தமிழ்|తెలుగు|ไทย|ภาษาไทย|ລາວ|မြန်မာ|ខ្មែរ|አማርኛ|ქართული|հայերեն|ᏣᎳᎩ|ᚠᚢᚦ|монгол|ᠮᠣᠩᠭᠣᠯ|𐌰𐌱𐌲|𝔘𝔫𝔦|𠀀𠀁|ＦＵＬＬ|ｗｉｄｔｈ|ǅ|ŉ|ß|ẞ|ﬁ|ﬀ""".replace("\n", "|").split("|")
emoji = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇱🇻", "🇱🇻🇩🇪", "❤️", "☎︎", "👨🏿‍🚀", "1️⃣", "#️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🫠", "🧑‍🤝‍🧑", "™", "©️", "‍", "️", "🏽", "🇱"]
marks = ["e\u0301", "\u0301", "a\u0300\u0301\u0302", "o\u0308\u0304", "n\u0303", "\u1e9b\u0323", "\u212b", "\u0344", "q\u0307\u0323", "\u0f73\u0f71", "\u1100\u1161\u11a8", "\uac00\u11a8",
         "\u09c7\u09be", "\u0958", "\u2126", "\u0345\u0301", "\u20d0", "\u3099", "か\u3099", "\ufb2c", "Z\u0361\u0489a", "\u0600", "\u0d4e", "\u1f73", "s\u0323\u0307"]
controls = ["\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1b[0m", "\x1c\x1f", "\x7f", "\x80", "\x85", "\x8f\x9f", "\xad", "\u200b", "\u200c", "\u200d", "\u200e\u200f", "\u2028", "\u2029",
            "\u202a\u202e", "\u2060", "\ufeff", "\ufff9\ufffb", "\ufffd", "\uffff", "\ue000", "\U000f0000", "\U000e0001", "\U0010ffff", "\u061c", "\u180e"]
blanks = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", "\t\t", " \n", "\n ", "\u00a0", "\u1680", "\u2003", "\u2009", "\u202f", "\u205f", "\u3000", " \t \n\n  ", "\n\t\n"]
signs = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "'s", "'S", "'re", "'VE", "'ll", "'LL", "'ſ", "''", "--", "—", "…", "«»", "¿", "¡", "、", "。", "「", "•", "·", "€", "₹", "№", "½", "²", "Ⅻ", "①", "٣", "𝟘", "▁", "▁▁", "▁a", "Ġ", "Ċ", "##a",
         "<0x0A>", "<0xE2>", "<", "</", "<s", "<|", "|>", "[", "<image", "<extra_id_"]
special = ["<s>", "</s>", "<unk>", "<pad>", "<image>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<bos>", "<start_of_turn>user\n", "[CLS]", "[SEP]", "[MASK]", "<mask>", "USER: ", " ASSISTANT:", "<|vision_start|><|image_pad|><|vision_end|>"]
with open("pieces.json", "w") as f:
    json.dump([words, words, prose, code, scripts, scripts, emoji, marks, controls, blanks, signs, special], f, ensure_ascii=True, separators=(",", ":"))
