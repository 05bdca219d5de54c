//! Hyperparameter tuning jobs and their trials.

use aws_sdk_sagemaker::operation::describe_hyper_parameter_tuning_job::DescribeHyperParameterTuningJobOutput;
use aws_sdk_sagemaker::types::{
    HyperParameterTrainingJobSummary, SortOrder, TrainingJobSortByOptions, TrainingJobStatus,
};

use crate::aws::{ServiceError, failed};
use crate::session::Session;

/// The largest page.
const PAGE: i32 = 100;
/// Digits of a trial's number at least, and of the hash behind it.
const DIGITS: (usize, usize) = (3, 8);

/// The description of the tuning job `name`.
pub(crate) async fn describe(
    session: &Session,
    name: &str,
) -> Result<DescribeHyperParameterTuningJobOutput, ServiceError> {
    let request = session.clients.sagemaker.describe_hyper_parameter_tuning_job();
    let request = request.hyper_parameter_tuning_job_name(name);
    request.send().await.map_err(failed("DescribeHyperParameterTuningJob"))
}

/// The trials of the tuning job `name`, oldest first.
pub(crate) async fn trials(
    session: &Session,
    name: &str,
) -> Result<Vec<HyperParameterTrainingJobSummary>, ServiceError> {
    let (mut trials, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job();
        let request = request.hyper_parameter_tuning_job_name(name).max_results(PAGE).set_next_token(token);
        let request = request.sort_by(TrainingJobSortByOptions::CreationTime).sort_order(SortOrder::Ascending);
        let page = request.send().await.map_err(failed("ListTrainingJobsForHyperParameterTuningJob"))?;
        trials.extend_from_slice(page.training_job_summaries());
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(trials);
        }
    }
}

/// Whether nothing will become of the trial any more.
pub(crate) fn is_over(trial: &HyperParameterTrainingJobSummary) -> bool {
    trial.training_job_status().map(TrainingJobStatus::as_str).is_some_and(super::is_over)
}

/// Whether `job` has the name that SageMaker gives to a trial of `tuning`: with its number and a hash.
pub(crate) fn is_trial_of(job: &str, tuning: &str) -> bool {
    let end = job.strip_prefix(tuning).and_then(|end| end.strip_prefix('-')).and_then(|end| end.split_once('-'));
    end.is_some_and(|(number, hash)| {
        number.len() >= DIGITS.0
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && hash.len() == DIGITS.1
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_known_by_their_names() {
        assert!(is_trial_of("unspsc-tune-1-004-0a1b2c3d", "unspsc-tune-1"));
        // The next attempt of a tuning job, its trials, and a job that somebody has named.
        for other in ["unspsc-tune-1", "unspsc-tune-1-2", "unspsc-tune-1-2-004-0a1b2c3d", "unspsc-tune-1-004-baseline"]
        {
            assert!(!is_trial_of(other, "unspsc-tune-1"), "{other}");
        }
    }
}
