//! The commands whose requests are recorded, in the order in which they are given.

/// One command, and what becomes of it.
pub(crate) struct Step {
    /// The name of its golden file.
    pub(crate) name: &'static str,
    /// `JOB` stands for the job of the first step.
    pub(crate) command: &'static [&'static str],
    /// Its exit code on sagemaker-local.
    pub(crate) code: i32,
    /// Whether `unspsc plan` has the verb, and has to say before what is then done.
    pub(crate) is_planned: bool,
    /// Its exit code on moto and what it says there.
    pub(crate) moto: (i32, &'static str),
}

const fn planned(name: &'static str, command: &'static [&'static str], code: i32, moto: (i32, &'static str)) -> Step {
    Step { name, command, code, is_planned: true, moto }
}

const fn read(name: &'static str, command: &'static [&'static str], moto: (i32, &'static str)) -> Step {
    Step { name, command, code: 0, is_planned: false, moto }
}

pub(crate) const DATA: &str = "--data=data.csv";
pub(crate) const ENCODER: &str = "--encoder=encoder";
/// Three parts; the job fails on it, which is all the same here.
const LARGE: &str = "--encoder=large";

/// In the order in which they are given; each finds what those before it have left.
pub(crate) const STEPS: &[Step] = &[
    // Whatever is asked for is Completed at once on moto, and leaves nothing in S3: the test puts it there afterwards.
    planned("train", &["train", DATA, ENCODER], 0, (1, "NoSuchKey")),
    planned("train-again", &["train", DATA, ENCODER], 0, (0, "has completed already")),
    planned(
        "train-on-demand",
        &[
            "train",
            DATA,
            "--model=rnn",
            "--spot=false",
            "--checkpoints=false",
            "--keep-alive-secs=600",
            "--max-retries=0",
        ],
        0,
        (1, "NoSuchKey"),
    ),
    planned("train-in-parts", &["train", DATA, LARGE], 3, (1, "NoSuchKey")),
    read("status", &["status"], (0, "Completed")),
    read("status-job", &["status", "JOB"], (0, "100.0000")),
    read("logs-job", &["logs", "JOB"], (0, "algo-1-1 a line that the test has written")),
    planned("deploy", &["deploy", "--job=JOB", "--endpoint=catalogue"], 0, (0, "in service")),
    planned("deploy-again", &["deploy", "--job=JOB", "--endpoint=catalogue"], 0, (0, "in service")),
    planned(
        "deploy-serverless",
        &["deploy", "--job=JOB", "--endpoint=serverless", "--serverless"],
        0,
        (0, "serverless"),
    ),
    // Its smoke test goes through S3, which no plan tells.
    read("deploy-async", &["deploy", "--job=JOB", "--endpoint=asynchronous", "--async"], (0, "in service")),
    read("invoke", &["invoke", "--endpoint=catalogue", "--depth=class", "rice and beans"], (0, "Food")),
    planned("batch", &["batch", "--job=JOB", DATA, "--output=coded.csv"], 0, (1, "are not below")),
    planned(
        "tune",
        &[
            "tune",
            DATA,
            "--model=rnn",
            "--search=learning_rate=0.001..0.01:log",
            "--strategy=random",
            "--max-jobs=2",
            "--parallel-jobs=2",
        ],
        0,
        (1, "ListTrainingJobsForHyperParameterTuningJob"),
    ),
    read("status-endpoint", &["status", "catalogue"], (0, "scaling activities cannot be told")),
    planned("destroy", &["destroy", "--endpoint=catalogue", "--yes"], 0, (0, "gone: endpoint catalogue")),
    planned("destroy-again", &["destroy", "--endpoint=catalogue", "--yes"], 0, (0, "nothing is there")),
    planned("deploy-other", &["deploy", "--job=JOB", "--endpoint=updated"], 0, (0, "in service")),
    // moto has no UpdateEndpoint.
    planned(
        "deploy-update",
        &[
            "deploy",
            "--job=JOB",
            "--endpoint=updated",
            "--serve-instance=ml.m5.xlarge",
            "--rollout=canary",
            "--rollout-wait-secs=0",
            "--rollback-alarm=errors",
            "--scale-by=concurrency",
        ],
        0,
        (1, "UpdateEndpoint"),
    ),
    planned("stop", &["stop", "endless"], 0, (0, "is Completed already")),
    planned("destroy-all", &["destroy", "--all", "--yes"], 0, (0, "gone: everything")),
];

/// The same for jobs that others have made, where the containers are scripts.
pub(crate) const KINDS: &[Step] = &[
    // moto has no list of trials.
    read("status-tuning", &["status", "tuned"], (1, "ListTrainingJobsForHyperParameterTuningJob")),
    read("logs-tuning", &["logs", "tuned"], (1, "ListTrainingJobsForHyperParameterTuningJob")),
    read("status-transform", &["status", "batch"], (0, "Completed")),
    read("logs-transform", &["logs", "batch"], (0, "has logged nothing")),
    planned("stop-tuning", &["stop", "tuning"], 0, (0, "is Completed already")),
    planned("stop-transform", &["stop", "endless"], 0, (0, "is Completed already")),
];

/// The same for images, which moto alone has a place for; they are those of a stand-in for `docker`.
pub(crate) const IMAGES: &[Step] = &[
    planned("images-push", &["images", "push"], 0, (0, "serve-image")),
    planned("images-push-again", &["images", "push"], 0, (0, "already")),
];

/// Stacks, and the Lambda before an endpoint, on moto alone.
pub(crate) const STACKS: &[Step] = &[
    planned("infra-up", &["infra", "up", "--yes"], 0, (0, "")),
    planned("infra-up-again", &["infra", "up", "--yes"], 0, (0, "nothing to change")),
    planned("lambda-deploy", LAMBDA, 0, (0, "")),
    planned("lambda-deploy-same", LAMBDA, 0, (0, "nothing to change")),
    planned("lambda-deploy-again", OTHER_CODE, 0, (0, "leads to version 2")),
    planned("lambda-deploy-settings", OTHER_SETTINGS, 0, (0, "leads to version 3")),
    read("infra-status", &["infra", "status"], (0, "leads to version 3")),
    read("logs-lambda", &["logs", "unspsc-classify"], (0, "[3]0 a line that the test has written")),
    planned("infra-down", &["infra", "down", "--yes", "--delete-data"], 0, (0, "gone")),
];
const LAMBDA: &[&str] = &["lambda", "deploy", "--yes", "--endpoint=catalogue", "--package=bootstrap"];
const OTHER_CODE: &[&str] = &["lambda", "deploy", "--yes", "--endpoint=catalogue", "--package=other"];
const OTHER_SETTINGS: &[&str] =
    &["lambda", "deploy", "--yes", "--endpoint=catalogue", "--package=other", "--lambda-memory-mb=512"];
