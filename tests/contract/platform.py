"""What SageMaker does to a training container, as the platform's documents tell it, with the standard library alone.

    TRAIN=path/to/train UNSPSC_ENCODER=path/to/encoder python3 tests/contract/platform.py

Knows nothing of the program but its hyperparameters and its table of exit codes.
"""

import ctypes
import json
import os
import resource
import signal
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

TRAIN = os.environ["TRAIN"]
ENCODER = os.environ["UNSPSC_ENCODER"]

GOODS = {"31161500": "bolt nut hex", "50121500": "fish pork frozen", "43211503": "laptop computer portable"}

# What job listings show beside the documented files.
UNDOCUMENTED = {
    "init-config.json": {"inputMode": "FILE", "channels": {}},
    "metric-definition-regex.json": [],
    "trainingjobconfig.json": {"TrainingJobName": "job"},
    "upstreamoutputdataconfig.json": [],
    "debughookconfig.json": {"LocalPath": "/opt/ml/output/tensors"},
    "profilerconfig.json": {"DisableProfiler": True},
    "future.bin": "\0not JSON",
}

FEW = {"epochs": "1", "batch_size": "16"}


def rows(part="", count=30):
    lines = ["description,unspsc"]
    for code, words in GOODS.items():
        lines += [f'"{words.split()[i % 3]} {part} no {i * 7}",{code}' for i in range(count)]
    return "\n".join(lines) + "\n"


def without_override():
    """Root is held to permission bits like anybody else: bits of read-only mounts would bind it too."""
    if os.geteuid() == 0:
        drop = 24  # PR_CAPBSET_DROP
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0) != 0:
                os._exit(99)


class Job:
    """A root folder as the platform lays it out, read-only where the platform's is."""

    def __init__(self, test, hyperparameters=FEW, channels=None, mode="File"):
        folder = tempfile.TemporaryDirectory()
        self.root = Path(folder.name) / "ml"
        test.addCleanup(folder.cleanup)
        test.addCleanup(self.unlock)
        channels = {"train": {"rows.csv": rows()}} if channels is None else channels
        for name, files in channels.items():
            for file, content in files.items():
                self.write(f"input/data/{name}/{file}", content)
            self.write(f"input/data/{name}-manifest", '[{"prefix": "s3://bucket/"}]')
        self.config("hyperparameters", hyperparameters)
        channel = {"TrainingInputMode": mode, "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
        self.config("inputdataconfig", {name: channel for name in channels})
        self.config("resourceconfig", {
            "current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0",
            "current_instance_type": "ml.m5.large", "current_group_name": "homogeneousCluster",
            "instance_groups": [{"instance_group_name": "homogeneousCluster", "hosts": ["algo-1"]}], "topology": None,
        })
        for folder in ("model", "output/data"):
            (self.root / folder).mkdir(parents=True)

    def write(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def config(self, name, value):
        self.write(f"input/config/{name}.json", json.dumps(value))

    def everything(self):
        return [self.root, *self.root.rglob("*")]

    def lock(self):
        for path in self.root.glob("input/**/*"):
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))

    def unlock(self):
        for path in self.everything():
            path.chmod(path.stat().st_mode | stat.S_IWUSR)

    def start(self, arguments=("train",), address_space=None, **environment):
        self.lock()
        environment = {"SAGEMAKER_BASE_DIR": str(self.root), "UNSPSC_ENCODER": ENCODER, **environment}

        def before():
            without_override()
            if address_space:
                # One thread: how much threads reserve depends on the machine.
                os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

        return subprocess.Popen([TRAIN, *arguments], env=environment, preexec_fn=before, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, *arguments, **options):
        child = self.start(arguments or ("train",), **options)
        self.log, _ = child.communicate()
        return child.returncode

    def failure(self):
        return (self.root / "output/failure").read_text(encoding="utf-8")[:1024]

    def setting(self, name):
        return json.loads((self.root / "output/data/metrics.json").read_text())["hyperparameters"][name]

    def data(self):
        return json.loads((self.root / "output/data/metrics.json").read_text())["data"]


class Contract(unittest.TestCase):
    def completes(self, job, **options):
        self.assertEqual(job.run(**options), 0, job.log)
        self.assertTrue((job.root / "model/model.safetensors").is_file())
        self.assertFalse((job.root / "output/failure").exists())

    def fails(self, job, code, *words, **options):
        self.assertEqual(job.run(**options), code, job.log)
        for word in words:
            self.assertIn(word, job.failure())
        self.assertFalse((job.root / "model/model.safetensors").exists())

    def test_hyperparameters_quoted_and_bare_and_of_the_platform(self):
        for quote in (str, json.dumps):
            job = Job(self, {
                "epochs": quote("1"), "batch_size": "16", "learning_rate": quote("0.003"), "pooling": quote("cls"),
                "sagemaker_program": '"train.py"', "sagemaker_region": "eu-west-1",
                "_tuning_objective_metric": "validation:balanced_accuracy",
            })
            self.completes(job)
            self.assertEqual([job.setting("pooling"), job.setting("learning_rate")], ["cls", "0.003"])

    def test_hyperparameters_that_are_not_taken(self):
        self.fails(Job(self, {"learning_rte": "1"}), 3, "`learning_rte` is unknown", "did you mean `learning_rate`?")
        self.fails(Job(self, {"batch_size": '"0"'}), 3, "`batch_size` is `0`", "allowed: 1 to")

    def test_optional_files_missing(self):
        job = Job(self)
        for name in ("inputdataconfig", "resourceconfig"):
            (job.root / f"input/config/{name}.json").unlink()
        self.completes(job)
        job = Job(self, {"epochs": "1"})
        (job.root / "output/data").rmdir()
        (job.root / "output").rmdir()
        (job.root / "model").rmdir()
        self.completes(job)

    def test_files_that_nobody_has_documented(self):
        job = Job(self)
        for name, content in UNDOCUMENTED.items():
            job.write(f"input/config/{name}", content if isinstance(content, str) else json.dumps(content))
        job.write("input/data/train/README.md", "# not data")
        job.write("input/data/train/_SUCCESS", "")
        self.completes(job)

    def test_any_file_names_and_several_files_in_both_modes(self):
        files = {
            "part-00000-5f1c": rows("a"), "with space, comma.CSV": rows("b"), "2026/01/Übung.csv": rows("c"),
            "2026/01/part-1": rows("d"), "_SUCCESS": "",
        }
        for mode in ("File", "FastFile"):
            job = Job(self, FEW, {"training": files, "validation": {"v.data": rows("v", 5)}, "test": {"t": rows("t", 4)}},
                      mode)
            self.completes(job)
            data = job.data()
            self.assertEqual([data["train_rows"], data["validation_rows"], data["test_rows"]], [360, 15, 12])

    def test_channels_that_cannot_be_used(self):
        self.fails(Job(self, FEW, {}), 4, "no channel `training` (or `train`)")
        self.fails(Job(self, FEW, {"train": {"rows.csv": "a,b\n1,2\n"}}), 4, "channel `training`", "no column")
        self.fails(Job(self, mode="Pipe"), 4, "Pipe mode")

    def test_several_hosts(self):
        job = Job(self)
        job.config("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]})
        self.fails(job, 3, "2 hosts", "InstanceCount to 1")

    def test_no_encoder(self):
        self.fails(Job(self), 5, "UNSPSC_ENCODER", UNSPSC_ENCODER="/nowhere")

    def test_a_command_line_that_is_wrong(self):
        job = Job(self)
        self.assertEqual(job.run("serve"), 2, job.log)
        self.assertIn("serve", job.failure())

    def test_a_failure_of_an_earlier_run_is_not_taken_for_this_ones(self):
        job = Job(self)
        job.write("output/failure", "earlier")
        self.completes(job)

    def test_a_failure_path_that_cannot_be_written(self):
        job = Job(self, {"epochs": "0"})
        (job.root / "output/failure").mkdir()
        self.assertEqual(job.run(), 3, job.log)
        self.assertIn("cannot write", job.log)
        (job.root / "output/failure").rmdir()
        (job.root / "output").chmod(0o555)
        self.assertEqual(job.run(), 3, job.log)
        self.assertIn("allowed: 0.001 to", job.log)

    def test_results_that_cannot_be_written(self):
        job = Job(self)
        (job.root / "model").chmod(0o555)
        self.fails(job, 7, "cannot write", "ml/model")

    def test_memory_that_is_refused(self):
        text = "description,unspsc\n" + "".join(
            f'"{words} {i} {"word " * 500}",{code}\n' for code, words in GOODS.items() for i in range(60))
        job = Job(self, {"model": "rnn", "batch_size": "4096", "max_length": "512"}, {"train": {"rows.csv": text}})
        # Little more than the process begins with: near what a single text needs, oneDNN is refused memory too, and does not say so.
        self.fails(job, 8, "out of memory", "lower `max_batch_tokens`", address_space=480 << 20)

    def trainer(self, job):
        """A long job under way: the process that was started, and the id of the one that trains."""
        child = job.start()
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        for line in child.stdout:
            if "validation:balanced_accuracy" in line:
                break
        return child, int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text())

    def test_a_killed_or_crashed_trainer_is_explained(self):
        for number, code, words in ((signal.SIGKILL, 8, "out-of-memory"), (signal.SIGABRT, 10, "SIGABRT")):
            job = Job(self, {**FEW, "epochs": "10000"})
            child, trainer = self.trainer(job)
            os.kill(trainer, number)
            child.communicate()
            self.assertEqual(child.returncode, code)
            self.assertIn(words, job.failure())

    def test_sigterm_reaches_the_trainer(self):
        job = Job(self, {**FEW, "epochs": "10000"})
        child, _ = self.trainer(job)
        child.terminate()
        log, _ = child.communicate()
        self.assertEqual(child.returncode, 0, log)
        self.assertTrue((job.root / "model/model.safetensors").is_file())

    def test_no_trainer_outlives_its_watcher(self):
        child, _ = self.trainer(Job(self, {**FEW, "epochs": "10000"}))
        child.kill()
        child.communicate(timeout=60)  # The log ends when the last who could write to it does.


if __name__ == "__main__":
    unittest.main(verbosity=2)
