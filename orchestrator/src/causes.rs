//! What to do about the failures that everybody meets once.

use crate::aws::ServiceError;

/// Stands in advice for the name of the quota that was met.
const QUOTA: &str = "{quota}";
/// What [`QUOTA`] is where the error does not name it.
const ANY_QUOTA: &str = "\"TYPE for training job usage\" (spot capacity and endpoints have quotas of their own)";

/// Words of an error, all of which must occur in it in lower case, and what to do then. The first that fits counts.
///
/// Sources: the issues and pages that stand beside each; numbers without a repository are of
/// aws/amazon-sagemaker-examples.
const CAUSES: &[(&[&str], &str)] = &[
    // #307: new accounts have a quota of 0 for GPU instances.
    (
        &["resourcelimitexceeded", "is 0 instances"],
        "the account's quota for this instance type is 0: ask for more under Service Quotas, Amazon SageMaker, {quota}, \
         or choose another type",
    ),
    (
        &["resourcelimitexceeded"],
        "a quota of the account is used up: wait until something ends, or ask for more under Service Quotas, Amazon SageMaker, \
         {quota}",
    ),
    // #739.
    (
        &["exec: \"train\": executable file not found"],
        "the image has no program `train` on its PATH: --train-image has to be the training image of this project",
    ),
    // #628.
    (
        &["exec: \"serve\": executable file not found"],
        "the image has no program `serve` on its PATH: --serve-image has to be the inference image of this project",
    ),
    // aws-samples/amazon-sagemaker-custom-container#3.
    (
        &["exec format error"],
        "the image was built for another processor architecture: build it with `docker build --platform linux/amd64`",
    ),
    // Developer guide, "SageMaker AI Roles": the trust policy has to name the service.
    (
        &["could not assume role"],
        "the role has to trust SageMaker: its trust policy must allow sts:AssumeRole to sagemaker.amazonaws.com",
    ),
    (
        &["unable to assume"],
        "the role has to trust SageMaker: its trust policy must allow sts:AssumeRole to sagemaker.amazonaws.com",
    ),
    // API reference of S3, "Error responses".
    (&["nosuchbucket"], "there is no such bucket: make it in the region of the job, or name another with --bucket"),
    (
        &["permanentredirect"],
        "the bucket lies in another region: name one in the region of the job with --bucket, or the bucket's region with --region",
    ),
    (
        &["authorizationheadermalformed"],
        "the bucket lies in another region: name one in the region of the job with --bucket, or the bucket's region with --region",
    ),
    // Developer guide, "Troubleshooting": S3 buckets have to be in the region of the job.
    (
        &["bucket", "same region"],
        "the bucket lies in another region: name one in the region of the job with --bucket, or the bucket's region with --region",
    ),
    // Developer guide, "Troubleshooting" of endpoints and of batch transform: the words of their FailureReason.
    (
        &["transform job", "capacityerror"],
        "AWS has no such instance free at the moment: run the same command later, or choose another --batch-instance or region",
    ),
    (
        &["endpoint", "insufficientinstancecapacity"],
        "AWS has no such instance free at the moment: run the same command later, or choose another --serve-instance or region",
    ),
    // API reference, CreateTrainingJob and DescribeTrainingJob: CapacityError in FailureReason.
    (
        &["capacityerror"],
        "AWS has no such instance free at the moment: run the same command later, or choose another --train-instance or region",
    ),
    // serverless/serverless#7250.
    (
        &["function_error_init_failure"],
        "the program ends before it asks for work: `unspsc logs NAME-classify` says why; --architecture has to be what \
         it was built for",
    ),
    // Lambda's quotas: new accounts have 10 environments, of which 10 have to stay for other functions.
    (
        &["unreservedconcurrentexecution"],
        "the account's quota of Lambda is too small for that: ask for more under Service Quotas, AWS Lambda, \"Concurrent \
         executions\", or pass less --provisioned-concurrency (0 for none)",
    ),
    // What a stack makes has names of its own, which are there once: buckets in all of AWS.
    (
        &["create_failed", "already exists"],
        "there is one of that name, perhaps of the same --name in another region, since roles are there once in an account: choose another \
         --name, or delete it if nothing runs by it",
    ),
    (
        &["sagemaker-local has of sts the action"],
        "sagemaker-local has no CloudFormation: without --local, which goes by no other address, AWS_ENDPOINT_URL_CLOUDFORMATION names \
         one that has",
    ),
    // The engine sends what `docker push` is told to.
    (
        &["docker", "connection refused"],
        "the Docker Engine cannot reach the registry: network and proxy of the engine count, not those of this program",
    ),
    (
        &["docker daemon", "running"],
        "start the Docker Engine, or choose the one that runs with `docker context use`; your user has to be allowed to use it",
    ),
    (
        &["sagemaker-local", "containerregistry"],
        "sagemaker-local has no registry and needs none: with `--runtime docker` it runs images by their names on this machine",
    ),
    // aws/amazon-sagemaker-feedback#180.
    (
        &["unsupported manifest media type"],
        "build the image with `docker buildx build --provenance=false --output type=docker`, and push that",
    ),
    // The kernel ends what takes more memory than there is so; 137 is 128 and the signal's number.
    (&["killed by sigkill"], TOO_LITTLE_MEMORY),
    (&["exit code: 137"], TOO_LITTLE_MEMORY),
    // API reference, DescribeTrainingJob, SecondaryStatus.
    (
        &["maxruntimeexceeded"],
        "the job met --max-runtime-secs: run the same command with more seconds, and the next attempt goes on from the last \
         checkpoint",
    ),
    (
        &["maxwaittimeexceeded"],
        "there was no spot capacity for long enough: run the same command with more --max-wait-secs, or with --spot=false",
    ),
];

/// What to do about a container that was killed.
const TOO_LITTLE_MEMORY: &str = "a container that is killed has mostly met the memory of its instance: choose a larger one \
                                 (--train-instance, --serve-instance, --batch-instance), or train with a smaller batch_size";

/// An address that was given in the place of AWS does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0} refuses connections")]
struct Unreached(String);

/// `error` with the address in the place of AWS, `endpoint_url`, where that is what does not answer.
pub(crate) fn at_address(error: anyhow::Error, endpoint_url: Option<&str>) -> anyhow::Error {
    let is_refused = error.chain().any(|cause| match cause.downcast_ref() {
        Some(ServiceError::NoAnswer { reason, .. }) => reason.to_lowercase().contains("connection refused"),
        _ => false,
    });
    // A service may have an address of its own, and which one was asked the error does not say.
    let own = std::env::vars().filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL_")).map(|(_, url)| url);
    let urls: Vec<String> = own.chain(endpoint_url.map(str::to_owned)).filter(|url| !url.is_empty()).collect();
    match urls.as_slice() {
        [] => error,
        _ if !is_refused => error,
        [url] => error.context(Unreached(url.clone())),
        urls => error.context(Unreached(format!("one of {}", urls.join(", ")))),
    }
}

/// What to do about `error`, where that is known.
pub(crate) fn advice(error: &anyhow::Error) -> Option<String> {
    if error.is::<Unreached>() {
        let advice = "start `sagemaker-local` there, or correct --endpoint-url, AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_…";
        return Some(advice.to_owned());
    }
    let denial = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(ServiceError::Denied { denial, .. }) => Some(denial.remedy()),
        _ => None,
    });
    denial.or_else(|| of_text(&format!("{error:#}")))
}

fn of_text(text: &str) -> Option<String> {
    let quota = quota(text).map_or_else(|| ANY_QUOTA.to_owned(), |quota| format!("\"{quota}\""));
    let text = text.to_lowercase();
    let fits = |words: &&[&str]| words.iter().all(|word| text.contains(word));
    CAUSES.iter().find(|(words, _)| fits(words)).map(|(_, advice)| advice.replace(QUOTA, &quota))
}

/// The name of the quota in SageMaker's words, as Service Quotas has it.
fn quota(text: &str) -> Option<&str> {
    Some(text.split_once("service limit '")?.1.split_once('\'')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What services say, and a part of what is advised then.
    const SAID: &[(&str, &str)] = &[
        (
            "CreateTrainingJob was refused: The account-level service limit 'ml.g4dn.xlarge for training job usage' is 0 \
         Instances, with current utilization of 0 Instances and a request delta of 1 Instances (ResourceLimitExceeded)",
            "Amazon SageMaker, \"ml.g4dn.xlarge for training job usage\", or choose",
        ),
        (
            "The account-level service limit 'ml.m5.large for endpoint usage' is 4 Instances, with current utilization of 4 \
         Instances (ResourceLimitExceeded)",
            "is used up: wait until something ends, or ask for more under Service Quotas, Amazon SageMaker, \"ml.m5.large \
         for endpoint usage\"",
        ),
        ("the limit is 0 Instances (ResourceLimitExceeded)", "\"TYPE for training job usage\""),
        ("AlgorithmError: , exec: \"train\": executable file not found in $PATH", "no program `train`"),
        ("CannotStartContainerError: exec: \"serve\": executable file not found in $PATH", "no program `serve`"),
        ("AlgorithmError: exec /usr/local/bin/train: exec format error", "--platform linux/amd64"),
        ("Could not assume role arn:aws:iam::1:role/x. Please ensure that the role exists", "sts:AssumeRole"),
        ("SageMaker is unable to assume the role arn:aws:iam::1:role/x", "sts:AssumeRole"),
        ("PutObject was refused: The specified bucket does not exist (NoSuchBucket)", "no such bucket"),
        ("HeadObject was refused: the service answered HTTP 301 (PermanentRedirect)", "another region"),
        ("expecting 'eu-west-1' (AuthorizationHeaderMalformed)", "another region"),
        ("The S3 bucket 'b' must be in the same region as the job", "another region"),
        ("docker push: dial tcp 127.0.0.1:443: connect: connection refused", "cannot reach the registry"),
        ("docker: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "start the Docker"),
        (
            "DescribeRepositories was refused: sagemaker-local has no operation \"AmazonEC2ContainerRegistry_V20150921.x\"",
            "needs none",
        ),
        ("Unsupported manifest media type application/vnd.oci.image.index.v1+json for image", "--provenance=false"),
        ("training job x failed: CapacityError: Unable to provision requested ML compute capacity", "--train-instance"),
        (
            "transform job x failed: CapacityError: Unable to provision requested ML compute capacity due to \
         InsufficientInstanceCapacity error",
            "--batch-instance",
        ),
        (
            "endpoint x is Failed: Unable to provision requested ML compute capacity due to \
         InsufficientInstanceCapacity error",
            "--serve-instance",
        ),
        ("training job x failed: AlgorithmError: the program left no failure, killed by SIGKILL", "memory"),
        ("provisioned concurrency of f has failed: FUNCTION_ERROR_INIT_FAILURE", "--architecture"),
        (
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum",
            "Concurrent executions",
        ),
        ("CREATE_FAILED AWS::S3::Bucket Bucket: unspsc-1 already exists", "another --name"),
        (
            "DescribeStacks was refused: sagemaker-local has of STS the action GetCallerIdentity and no other",
            "AWS_ENDPOINT_URL_CLOUDFORMATION",
        ),
        ("training job x was stopped: MaxRuntimeExceeded", "--max-runtime-secs"),
        ("training job x was stopped: MaxWaitTimeExceeded", "--max-wait-secs"),
    ];

    #[test]
    fn what_services_say_leads_to_what_to_do() {
        for (said, advised) in SAID {
            let advice = of_text(said);
            assert!(advice.as_ref().is_some_and(|advice| advice.contains(advised)), "{said}: {advice:?}");
        }
        assert_eq!(of_text("training job x failed: AlgorithmError: row 3 has no label"), None);
    }

    #[test]
    fn an_address_that_was_given_is_to_be_started_or_corrected() {
        let refused = || {
            let reason = "Connection refused (os error 111)".to_owned();
            anyhow::Error::from(ServiceError::NoAnswer { operation: "ListModels", reason }).context("cannot look")
        };
        let located = at_address(refused(), Some("http://127.0.0.1:1"));
        assert!(format!("{located:#}").starts_with("http://127.0.0.1:1 refuses connections: cannot look: ListModels"));
        assert!(advice(&located).unwrap().contains("start `sagemaker-local`"));
        // A proxy before AWS refuses too, and a job may have been refused by whomever it asked.
        let failed = at_address(anyhow::anyhow!("job x failed: Connection refused"), Some("http://127.0.0.1:1"));
        assert!([at_address(refused(), None), failed].iter().all(|error| advice(error).is_none()));
    }

    #[test]
    fn every_cause_can_be_reached() {
        for (words, advice) in CAUSES {
            let expected = advice.replace(QUOTA, ANY_QUOTA);
            assert_eq!(of_text(&words.join(" ")), Some(expected), "{words:?} is hidden by one before it");
        }
    }
}
