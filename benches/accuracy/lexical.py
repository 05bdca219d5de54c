"""Peers that compare letters and words: TF-IDF with a linear SVM, and BM25 over the titles."""

import bm25s
import numpy
import Stemmer
from answers import Scored, above
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

# Titles that BM25 finds for a text: enough for five families.
FOUND = 64


def svm(split, settings):
    """TF-IDF of words 1-2 and characters 2-5, and for segments and families a linear SVM with balanced class weights."""
    features = make_union(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
                          TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2))
    codes = numpy.array([int(row.code) for row in split.train])
    vectors = features.fit_transform([row.text for row in split.train])
    models = {}
    for level in ("segment", "family"):
        labels, reach = above(codes, level)
        machine = LinearSVC(C=float(settings.get("C", 0.5)), class_weight="balanced", random_state=split.seed)
        models[level] = machine.fit(vectors[reach], labels[reach])

    def ask(texts):
        asked = features.transform(texts)
        margins = {level: model.decision_function(asked) for level, model in models.items()}
        return {level: Scored(numpy.broadcast_to(models[level].classes_, found.shape), found) for level, found in margins.items()}

    return ask


def bm25(split, settings):
    """BM25 with stemming and without stop words over the titles of the code list; each level's codes by their best title."""
    stemmer = Stemmer.Stemmer("english")
    codes = numpy.array([int(row.code) for row in split.titles])
    index = bm25s.BM25()
    words = bm25s.tokenize([row.text for row in split.titles], stopwords="en", stemmer=stemmer, show_progress=False)
    index.index(words, show_progress=False)

    def ask(texts):
        asked = bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
        places, scores = index.retrieve(asked, k=FOUND, show_progress=False)
        # A title that shares no word with the text is no answer.
        found = Scored(codes[places], numpy.where(scores > 0, scores, -numpy.inf))
        return dict.fromkeys(("segment", "family", "class", "commodity"), found)

    return ask
