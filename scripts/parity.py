"""What scripts/parity runs: golden values for the tests, and comparisons of the engine and `serve` with transformers."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedTokenizerFast,
    logging,
)

# What a bare encoder does not need of a classifier's file is no news here.
logging.set_verbosity_error()
logging.disable_progress_bar()

GOLDEN = Path("tests/golden")
TEXTS = json.loads((GOLDEN / "texts.json").read_text())
ENCODER = Path(os.environ.get("UNSPSC_ENCODER", ".deps/encoder/all-MiniLM-L6-v2"))
BINARIES = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release"
TOLERANCE = 1e-4
# Golden values hold the hidden states of these texts only, to stay small.
TEXTS_WITH_HIDDEN = [0, 3, 82]


def randomise(model, scale, seed):
    """Random weights with nothing left at 0 or 1, where a forgotten bias or LayerNorm weight would not show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm_weight = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if is_norm_weight else scale * noise)
    return model.eval()


def labels(count):
    names = [f"{10 + index}000000" for index in range(count)]
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def small_tokenizer(path):
    """A WordPiece tokenizer of 300 entries, learnt from the texts."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ascii_texts = [text for text in TEXTS if text.isascii()]
    tokenizer.train_from_iterator(ascii_texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(path), pretty=False)


# What mean vectors are scaled to before the classifier.
FEATURE_LENGTH = 20**0.5


class Reference:
    """A model directory in transformers."""

    def __init__(self, directory, pooling=None):
        metadata = directory / "unspsc.json"
        self.metadata = json.loads(metadata.read_text()) if metadata.exists() else {}
        self.pooling = pooling or self.metadata.get("pooling", "cls")
        self.temperature = self.metadata.get("temperature", 1.0)
        self.classifier = AutoModelForSequenceClassification.from_pretrained(directory, dtype=torch.float32).eval()
        self.encoder = AutoModel.from_pretrained(directory, dtype=torch.float32).eval()
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"))
        self.tokenizer.backend_tokenizer.no_padding()
        outputs = self.classifier.config.id2label
        self.sums = self.metadata.get("labels") or {outputs[index]: 1 for index in range(len(outputs))}
        self.max_length = self.metadata.get("max_length", min(self.classifier.config.max_position_embeddings, 512))

    def cleans(self):
        return self.metadata.get("cleaning_version") is not None

    def tokens(self, text):
        self.tokenizer.backend_tokenizer.enable_truncation(self.max_length)
        return self.tokenizer.backend_tokenizer.encode(text).ids

    @torch.no_grad()
    def run(self, ids):
        """Hidden states [tokens, hidden] and logits [labels] of one text."""
        batch = torch.tensor([ids])
        hidden = self.encoder(input_ids=batch).last_hidden_state
        if self.pooling == "cls":
            return hidden[0], self.label_logits(self.classifier(input_ids=batch).logits[0])
        pooled = torch.nn.functional.normalize(hidden.mean(dim=1)) * FEATURE_LENGTH
        return hidden[0], self.label_logits(self.classifier.classifier(pooled)[0])

    def label_logits(self, outputs):
        """Logits of labels, each the sum of the outputs that unspsc.json gives it."""
        return torch.stack([part.logsumexp(dim=0) for part in outputs.split(list(self.sums.values()))])


def rounded(tensor):
    return [round(value, 6) for value in tensor.tolist()]


def golden():
    tokenizer = GOLDEN / "bert" / "tokenizer.json"
    small = {"vocab_size": 300, "max_position_embeddings": 64, **labels(12)}
    for name in ("bert", "distilbert"):
        directory = GOLDEN / name
        directory.mkdir(exist_ok=True)
        # Learning a vocabulary is not repeatable to the last entry, so an existing one is kept.
        if not tokenizer.exists():
            small_tokenizer(tokenizer)
        (directory / "tokenizer.json").write_bytes(tokenizer.read_bytes())
        if name == "bert":
            sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
            model = BertForSequenceClassification(BertConfig(**sizes, **small))
        else:
            sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
            model = DistilBertForSequenceClassification(DistilBertConfig(**sizes, **small))
        randomise(model, 0.3, seed=1).save_pretrained(directory)
        for pooling in ("cls", "mean"):
            reference = Reference(directory, pooling)
            lines = []
            for index, text in enumerate(TEXTS):
                ids = reference.tokens(text)
                hidden, logits = reference.run(ids)
                case = {"ids": ids, "logits": rounded(logits)}
                if pooling == "cls" and index in TEXTS_WITH_HIDDEN:
                    case["hidden"] = [rounded(row) for row in hidden]
                lines.append(json.dumps(case, separators=(",", ":")))
            (GOLDEN / f"{name}-{pooling}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    total = sum(file.stat().st_size for file in GOLDEN.rglob("*") if file.is_file())
    print(f"{total} bytes in {GOLDEN}")


def example_answers(example, directory):
    """Logits and hidden states as the example program of crates/engine or train-container computes them."""
    lines = "".join(json.dumps(text) + "\n" for text in TEXTS)
    command = [BINARIES / "examples" / example, directory]
    out = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def serve_answers(directory, labels):
    """Probabilities by label as the real `serve` answers them; an error body where it refuses a text."""
    with tempfile.TemporaryDirectory() as base:
        (Path(base) / "model").symlink_to(directory.resolve())
        command = [BINARIES / "serve", "serve", "--base-dir", base, "--host", "127.0.0.1", "--port", "0",
                   "--precision", "float32"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            address = None
            for line in process.stderr:
                if found := re.search(r"listening on (http://[\w.:]+)", line):
                    address = found[1]
                if "ready" in line:
                    break
            threading.Thread(target=process.stderr.read, daemon=True).start()
            body = json.dumps({"instances": TEXTS, "top_k": labels}).encode()
            request = urllib.request.Request(f"{address}/invocations", body, {"content-type": "application/json"})
            with urllib.request.urlopen(request) as response:
                return json.load(response)["predictions"]
        finally:
            process.terminate()
            process.wait(timeout=30)


def compare(directory):
    reference = Reference(directory)
    config = reference.classifier.config
    answers = example_answers("logits", directory)
    torch_answers = example_answers("tch_logits", directory)
    served = serve_answers(directory, len(reference.sums))
    worst = {}
    classified = 0
    for text, answer, torch_answer, prediction in zip(TEXTS, answers, torch_answers, served, strict=True):
        if not reference.cleans():
            assert reference.tokens(text) == answer["ids"], f"tokens of {text!r}"
        hidden, logits = reference.run(answer["ids"])
        probabilities = torch.softmax(logits.double() / reference.temperature, dim=0)
        differences = {
            "the engine's hidden states": (torch.tensor(answer["hidden"]) - hidden).abs().max().item(),
            "the engine's logits": (torch.tensor(answer["logits"]) - logits).abs().max().item(),
            "the tch network's hidden states": (torch.tensor(torch_answer["hidden"]) - hidden).abs().max().item(),
            "the tch network's logits": (torch.tensor(torch_answer["logits"]) - logits).abs().max().item(),
        }
        if "error" not in prediction:
            classified += 1
            expected = dict(zip(reference.sums, probabilities.tolist(), strict=True))
            got = {candidate["label"]: candidate["probability"] for candidate in prediction["top_k"]}
            assert got.keys() == expected.keys(), f"labels of {text!r}"
            differences["serve's probabilities"] = max(abs(got[label] - expected[label]) for label in expected)
        for name, difference in differences.items():
            worst[name] = max(worst.get(name, 0.0), difference)
    spread = max(max(answer["logits"]) - min(answer["logits"]) for answer in answers)
    print(f"{directory}: {config.model_type}, pooling {reference.pooling}, {len(reference.sums)} labels")
    print(f"{len(TEXTS)} texts, of which serve classified {classified}; logits spread over up to {spread:.1f}")
    for name, difference in worst.items():
        print(f"largest difference of {name} from those of transformers: {difference:.2e}")
    if classified < 95 or max(worst.values()) >= TOLERANCE:
        sys.exit(f"parity is broken: {TOLERANCE} is allowed, on at least 95 classified texts")


def made(name, build):
    """Builds a model directory under .deps once and returns it."""
    directory = Path(".deps/parity-models") / name
    if not (directory / "model.safetensors").exists():
        directory.mkdir(parents=True, exist_ok=True)
        build().save_pretrained(directory)
        shutil.copy(ENCODER / "tokenizer.json", directory)
    return directory


def full_size_distilbert():
    return randomise(DistilBertForSequenceClassification(DistilBertConfig(**labels(57))), 0.04, seed=2)


def minilm_with_random_head():
    model = BertForSequenceClassification.from_pretrained(ENCODER, dtype=torch.float32, **labels(57))
    randomise(model.classifier, 0.3, seed=3)
    return model


if __name__ == "__main__":
    match sys.argv[-1]:
        case "golden":
            golden()
        case "distilbert":
            compare(made("distilbert", full_size_distilbert))
        case "minilm":
            compare(made("minilm", minilm_with_random_head))
        case directory if (Path(directory) / "config.json").is_file():
            compare(Path(directory))
        case other:
            raise SystemExit(f"usage: parity golden | distilbert | minilm | MODEL_DIR; `{other}` holds no config.json")
