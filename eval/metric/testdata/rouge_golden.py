"""Golden values for eval/metric, from rouge-score and NLTK.

    python rouge_golden.py > rouge_golden.jsonl            # the committed file
    python rouge_golden.py --pairs 20000 > /tmp/more.jsonl # a larger comparison
    python rouge_golden.py --stems WORDLIST > /tmp/stems.txt

Needs rouge-score and nltk. Texts are drawn from a fixed seed; `scores` holds
precision, recall and F of ROUGE-1, -2 and -L, then BLEU.
"""

import argparse
import json
import random
import sys

from nltk.stem.porter import PorterStemmer
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer

SUFFIXES = (
    "s es ies sses ss ed ied eed ing y ational tional enci anci izer bli abli alli entli eli ousli ization "
    "ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful "
    "ness al ance ence er ic able ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize e ll "
    "fully ality ivity logy ably"
).split()
FIXED = [
    ("", ""), ("", "a"), ("a", ""), (" \t\n", "..."), ("a", "a"), ("A b", "b a"),
    ("The cat sat on the mat.", "the the the the the the the"),
    ("İstanbul İ", "istanbul i"), ("\u212aelvin", "kelvin"), ("STRASSE", "straße"), ("naïve café", "naive cafe"),
    ("Он живёт в Риге", "Он живёт в Риге"), ("北京 2008", "北京 2008"), ("ΟΔΟΣ", "οδος"), ("😀 fun", "fun 😀"),
    ("don't stop", "don t stop"), ("x\x1cy z", "x y z"), ("a\u00a0b\u2003c", "a b c"), ("$75,000", "75 000 dollars"),
    ("skies news dying innings proceed", "sky new die inning proceeds"), ("yyyyy yyyyyed", "yyyyying yyyyi"),
    ("generalli finalli rationalli", "generally finally rationally"), ("geology theology apologize", "geologi theologi apologi"),
]
WORDS = (
    "this person is was born in lives works as an the a environmental scientist teacher baker judge engineer curator "
    "enjoys hiking pottery making traveling running relational conditional digitizer operator hopeful callousness "
    "University of Helsinki Riga, Latvia. Copenhagen, Denmark. 5 feet 5 inches tall. $75,000 annually happily "
    "father mother mechanical elementary favourites ponies caresses agreed plastered motoring conflated troubled sized "
    "hopping tanned falling hissing fizzed failing filing happy sky radically differently analogously vietnamization "
    "predication formality sensitivity sensibility triplicate formative formalize electricity electrical goodness revival "
    "allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption "
    "communism activate angularity homologous effective bowdlerize probate rate cease controlling rolling café İzmir "
    "O'Neil's e-mail 北京 Москва naïve won't 12:30 U.S.A. Straße Øre"
).split()


def texts(rng):
    word = lambda: rng.choice(WORDS) if rng.random() < 0.9 else "".join(rng.choice("abcdeiltsyz") for _ in range(rng.randint(1, 5))) + rng.choice(SUFFIXES)
    ref = [word() for _ in range(rng.randint(0, 24))]
    pred = list(ref)
    for _ in range(rng.randint(0, 10)):
        at = rng.randint(0, len(pred))
        kind = rng.random()
        if kind < 0.4:
            pred.insert(at, word())
        elif pred and kind < 0.7:
            del pred[rng.randrange(len(pred))]
        elif len(pred) > 1:
            i, j = rng.randrange(len(pred)), rng.randrange(len(pred))
            pred[i], pred[j] = pred[j], pred[i]
    if rng.random() < 0.1:
        pred = [word() for _ in range(rng.randint(0, 12))]
    return rng.choice([" ", " ", " ", ", ", "\n"]).join(ref), " ".join(pred)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--pairs", type=int, default=300)
    a.add_argument("--stems", help="file of words, one a line")
    a = a.parse_args()
    if a.stems:
        stem = PorterStemmer().stem
        for word in open(a.stems, encoding="utf-8").read().split():
            print(word, stem(word))
        return
    rng, scorer, smooth = random.Random(20260526), RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True), SmoothingFunction().method1
    for i in range(a.pairs):
        ref, pred = FIXED[i] if i < len(FIXED) else texts(rng)
        s = scorer.score(ref, pred)
        flat = [v for k in ("rouge1", "rouge2", "rougeL") for v in (s[k].precision, s[k].recall, s[k].fmeasure)]
        flat.append(float(sentence_bleu([ref.split()], pred.split(), smoothing_function=smooth)))
        json.dump({"reference": ref, "prediction": pred, "scores": flat}, sys.stdout, ensure_ascii=True)
        print()


if __name__ == "__main__":
    main()
