#!/usr/bin/env bash
# tokenizers 0.23.3: the ids of added_tokens in tokenizer.json are not read. What counts is the order of the list.
#
# Each entry says which id its token has, and the file looks as if that were so. The reader adds the tokens one after
# another behind the vocabulary instead: two entries that change places change their ids, and an id further up, left
# free for tokens that a model's embedding has but its tokenizer does not, becomes the next free one. Nothing is said.
# An edited or hand-written tokenizer.json so gives a model the rows of other tokens: an image's mark that is another
# mark, an end token that never comes. Whoever reads such files by the ids they hold reads another tokenizer.
#
# Seen: see EXPECTED below. Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q tokenizers==0.23.3
cat > "$tmp/ids.py" <<'PY'
import json
from tokenizers import Tokenizer, models

t = Tokenizer(models.WordLevel(vocab={"a": 0, "b": 1, "?": 2}, unk_token="?"))
t.add_special_tokens(["<image>", "<end>"])
saved = t.to_str()


def load(name, edit):
    j = json.loads(saved)
    edit(j["added_tokens"])
    u = Tokenizer.from_str(json.dumps(j))
    says = {a["content"]: a["id"] for a in j["added_tokens"]}
    print(f"{name}: the file says <image> {says['<image>']}, <end> {says['<end>']}; loaded {u.token_to_id('<image>')}, {u.token_to_id('<end>')}")


def swap(tokens):
    tokens[0]["id"], tokens[1]["id"] = tokens[1]["id"], tokens[0]["id"]


load("as saved", lambda tokens: None)
load("ids exchanged", swap)
load("a gap before <end>", lambda tokens: tokens[1].update(id=9))
load("the list turned round", lambda tokens: tokens.reverse())
PY
cat > "$tmp/expected" <<'EXPECTED'
as saved: the file says <image> 3, <end> 4; loaded 3, 4
ids exchanged: the file says <image> 4, <end> 3; loaded 3, 4
a gap before <end>: the file says <image> 3, <end> 9; loaded 3, 4
the list turned round: the file says <image> 3, <end> 4; loaded 4, 3
EXPECTED
"$tmp/env/bin/python" "$tmp/ids.py" | tee "$tmp/seen"
diff "$tmp/expected" "$tmp/seen" && echo 'as stated'
