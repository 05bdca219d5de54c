"""Lays out what nlpaug's SynonymAug asks nltk for: the same WordNet 3.0 files that ours reads, and a tagger.

nltk's own data come from a place that pip cannot reach, so two things are made here. `lexnames`, a list of 45 names, is
written out, and `index.sense`, which only translations need, is left empty. The part-of-speech tagger is nltk's
PerceptronTagger, trained with nltk's own code, but on sentences from the patterns below filled with WordNet's most frequent
words: the published one learnt from the Wall Street Journal. It has the same 45 tags, which is what its time goes by, and
fewer weights, which is in nlpaug's favour; what it says about texts is plausible and no more.
"""

import argparse
import json
import random
import shutil
from pathlib import Path

from nltk.tag.perceptron import PerceptronTagger

WORDNET = [f"{kind}.{pos}" for kind in ("index", "data") for pos in ("noun", "verb", "adj", "adv")]
WORDNET += ["noun.exc", "verb.exc", "adj.exc", "adv.exc", "cntlist.rev"]

# In the order of the numbers in data.*: see lexnames(5WN).
LEXNAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition verb.consumption "
    "verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative "
    "verb.weather adj.ppl"
).split()
POS_NUMBER = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}

# What the patterns below call by a tag: words that are always that.
CLOSED = {
    "DT": "the a an this that each every some any no".split(),
    "IN": "of in for with on by from at under without between".split(),
    "CC": "and or but nor".split(),
    "TO": ["to"],
    "MD": "can may will must should could".split(),
    "PRP": "it they we he she you".split(),
    "PRP$": "its their our his her your".split(),
    "WDT": ["which", "that"],
    "EX": ["there"],
    "CD": "one two three ten 12 50 100 1984 2.5 24".split(),
    "NNP": "Boston Texas Smith Acme Hudson Xerox Geneva Lincoln".split(),
    "RP": "up off out down".split(),
    "POS": ["'s"],
    ",": [","],
    ".": ["."],
    ":": [";", "-"],
    "(": ["("],
    ")": [")"],
    "NNPS": "Americans Rockies Alps Olympics".split(),
    "PDT": "all both half".split(),
    "RBR": "more less better sooner".split(),
    "RBS": "most least best".split(),
    "WP": "who what whom".split(),
    "WP$": ["whose"],
    "WRB": "when where how why".split(),
    "UH": "yes oh well".split(),
    "FW": "etc ad vitro per se".split(),
    "SYM": ["=", "*", "+"],
    "LS": ["1.", "a.", "b."],
    "$": ["$"],
    "#": ["#"],
    "``": ["``"],
    "''": ["''"],
}
# Sentences, and lines as a purchase record has them.
PATTERNS = """
DT JJ NN VBZ DT NN .
DT NN IN DT NNS VBZ RB JJ .
NNS VBP VBN IN JJ NNS CC NNS .
PRP MD VB DT NN TO VB PRP$ NNS .
PRP VBD RP DT JJR NN IN DT JJS NN .
EX VBZ DT NN IN NNP , WDT VBZ CD NNS .
NNP POS NN VBD RB VBN IN CD NNS .
VBG DT NN VBZ JJ IN NNS .
NN NN NN
JJ NN NN
NN NNS
JJ NN NNS
NN , JJ
NN NN , CD NN
NN CC NN NNS
NN NN IN NN NNS
VBN JJ NNS
VBN CC VBN NN
NN VBG NN
VBG NNS
NN NN ( NN )
NN : NN NN CD
NN IN NN IN JJ NN , JJ NN
VB NN TO NN IN NN
NNP NN NN
JJ CC JJ NNS
RB JJ NN
PDT DT NNPS , WP VBD RBR IN NNS , VBP RBS JJ .
UH , `` DT NN WP$ NN VBZ $ CD , '' WRB PRP VBD .
LS NN SYM NN , NN # CD FW
""".strip().splitlines()
SENTENCES = 8000
SEED = 17


def frequent(wordnet, pos, count):
    """The lemmas of one plain word that tagged texts have in most senses."""
    found = []
    with open(wordnet / f"index.{pos}", encoding="utf-8") as file:
        for line in file:
            if line.startswith(" "):
                continue
            lemma, _, senses, pointers, *rest = line.split()
            if lemma.isascii() and lemma.isalpha() and len(lemma) > 2:
                tagged = int(rest[int(pointers) + 1])
                found.append((-tagged, -int(senses), lemma))
    return [lemma for *_, lemma in sorted(found)[:count]]


def ending(word, end):
    """`word` inflected by rule; exceptions matter little to a tagger."""
    if end == "s":
        return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")
    return word.removesuffix("e") + end


def vocabulary(wordnet):
    """Words by tag."""
    nouns, verbs = frequent(wordnet, "noun", 3000), frequent(wordnet, "verb", 1500)
    adjectives, adverbs = frequent(wordnet, "adj", 1500), frequent(wordnet, "adv", 500)
    past = [ending(verb, "ed") for verb in verbs]
    return CLOSED | {
        "NN": nouns,
        "NNS": [ending(noun, "s") for noun in nouns],
        "VB": verbs,
        "VBP": verbs,
        "VBZ": [ending(verb, "s") for verb in verbs],
        "VBG": [ending(verb, "ing") for verb in verbs],
        "VBD": past,
        "VBN": past,
        "JJ": adjectives,
        "JJR": [ending(adjective, "er") for adjective in adjectives[:200]],
        "JJS": [ending(adjective, "est") for adjective in adjectives[:200]],
        "RB": adverbs,
    }


def tagger(wordnet):
    """A tagger trained on sentences from the patterns."""
    random.seed(SEED)
    words = vocabulary(wordnet)
    sentences = []
    for _ in range(SENTENCES):
        tags = random.choice(PATTERNS).split()
        sentences.append([(random.choice(words[tag]), tag) for tag in tags])
    trained = PerceptronTagger(load=False)
    trained.train(sentences)
    return trained


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wordnet", type=Path, default=Path(".deps/wordnet"), help="the files of WordNet 3.0")
    parser.add_argument("--output", type=Path, required=True, help="folder to be named by NLTK_DATA")
    arguments = parser.parse_args()

    corpus = arguments.output / "corpora/wordnet"
    corpus.mkdir(parents=True, exist_ok=True)
    for name in WORDNET:
        shutil.copyfile(arguments.wordnet / name, corpus / name)
    names = (f"{number:02}\t{name}\t{POS_NUMBER[name.split('.')[0]]}\n" for number, name in enumerate(LEXNAMES))
    (corpus / "lexnames").write_text("".join(names))
    (corpus / "index.sense").touch()

    trained = tagger(arguments.wordnet)
    folder = arguments.output / "taggers/averaged_perceptron_tagger_eng"
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"weights": trained.model.weights, "tagdict": trained.tagdict, "classes": sorted(trained.classes)}
    for part, value in parts.items():
        (folder / f"averaged_perceptron_tagger_eng.{part}.json").write_text(json.dumps(value))


if __name__ == "__main__":
    main()
