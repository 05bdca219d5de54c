"""Draws what scripts/bench-engine has printed: `picture.py TABLES.md PICTURE.svg`, batches a second as multiples of ONNX Runtime's."""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

TITLE, BASE = "distilbert, 2 threads", "onnxruntime"
COLOURS = ("#0b6e4f", "#23875f", "#3aa17e", "#a9d6c3", "#767b84", "#a4a9b1", "#c7cad0")


def times(text, title):
    """Shapes, and by contender the milliseconds a batch."""
    lines = text.split(f"\n{title}", 1)[1].split("\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    shapes, contenders = rows[0][1:], {}
    for name, *cells in rows[2:]:
        if name.startswith("the best peer"):
            break
        contenders[name] = [float(cell) for cell in cells]
    return shapes, contenders


def main():
    source, target = map(Path, sys.argv[1:])
    shapes, contenders = times(source.read_text(), TITLE)
    base = next(cells for name, cells in contenders.items() if name.startswith(BASE))
    matplotlib.rcParams |= {"svg.hashsalt": "17", "font.family": "sans-serif", "svg.fonttype": "none"}
    figure, axes = pyplot.subplots(figsize=(10, 4.2), layout="constrained")
    width = 0.8 / len(contenders)
    for index, (name, cells) in enumerate(contenders.items()):
        places = [place + (index - (len(contenders) - 1) / 2) * width for place in range(len(shapes))]
        bars = [other / own for own, other in zip(cells, base)]
        axes.bar(places, bars, width * 0.92, label=name, color=COLOURS[index % len(COLOURS)])
    axes.axhline(1, color="#444", linewidth=0.8)
    axes.set_xticks(range(len(shapes)), shapes)
    axes.set_xlabel("texts × tokens of a batch")
    axes.set_ylabel("batches a second, ONNX Runtime int8 = 1")
    axes.set_title("DistilBERT-base with 57 labels, two threads; higher is faster")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
