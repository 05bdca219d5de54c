//! What there is to take down: by name, and by the tags that everything bears from the moment of its creation, so that
//! whatever a run has left that was killed is found.

use std::collections::BTreeSet;

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ScalableTarget, ServiceNamespace};
use aws_sdk_sagemaker::operation::describe_endpoint::DescribeEndpointOutput;

use crate::aws::{ServiceError, failed};
use crate::content::{self, ENDPOINT};
use crate::deploy;
use crate::session::Session;
use crate::storage::S3Uri;

use super::jobs;
use super::part::Part;

/// The largest page.
const PAGE: i32 = 100;
/// Where everything of ours lies in the bucket.
const PREFIX: &str = "unspsc/";

/// What there is, in the order in which it can go.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) parts: Vec<Part>,
    /// What bears the name that was asked for and is not this program's: it stays.
    pub(super) others: Vec<Part>,
    /// Why something may be missing among them. The instances are what costs money: they go even where scaling or the
    /// bucket cannot be looked at.
    pub(super) errors: Vec<ServiceError>,
}

impl Found {
    /// The endpoint that bears the name and is somebody else's.
    pub(super) fn stays(&self) -> Option<&Part> {
        self.others.iter().find(|part| matches!(part, Part::Endpoint(_)))
    }

    fn add(&mut self, looked: Result<Vec<Part>, ServiceError>) {
        match looked {
            Ok(parts) => self.parts.extend(parts),
            Err(error) => self.errors.push(error),
        }
    }

    /// Leaves what somebody else's `endpoint` serves from: it may have been made of what is ours.
    async fn spare(
        &mut self,
        session: &Session,
        endpoint: &str,
        described: &DescribeEndpointOutput,
    ) -> Result<(), ServiceError> {
        let configs = deploy::configs_used(described);
        let models = deploy::models_used(session, &configs).await?;
        let used: Vec<Part> =
            configs.into_iter().map(Part::Config).chain(models.into_iter().map(Part::Model)).collect();
        for part in self.parts.extract_if(.., |part| used.contains(part)) {
            let why = format!("endpoint {endpoint}, which was not made by this program, serves from it");
            session.progress.say(&format!("{part} stays: {why}"));
        }
        Ok(())
    }
}

/// A resource's name and ARN.
type Named = (String, String);

/// What belongs to one endpoint: what bears its tag, and what bears its name and this program's tag.
pub(super) async fn of_endpoint(session: &Session, name: &str) -> anyhow::Result<Found> {
    let sagemaker = &session.clients.sagemaker;
    let mut found = Found::default();
    let described = match deploy::describe(session, name).await {
        Err(error) if error.is_missing() => None,
        outcome => Some(outcome?),
    };
    let endpoint = described.as_ref().and_then(DescribeEndpointOutput::endpoint_arn).map(str::to_owned);
    let stem = content::stem(name);
    let (configs, models) = (configs(session, Some(&stem)).await?, models(session, Some(&stem)).await?);
    let arns = endpoint.iter().chain(configs.iter().chain(&models).map(|(_, arn)| arn)).cloned();
    let tags = content::tags_of_all(sagemaker, arns).await?;
    let is_ours = |arn: &str| tags.get(arn).is_some_and(|tags| content::is_ours(tags));
    let is_of_it = |arn: &str| tags.get(arn).is_some_and(|tags| content::value(tags, ENDPOINT) == Some(name));
    // One that has no tags any more has gone since it was described.
    let endpoint = endpoint.filter(|arn| tags.contains_key(arn));
    match &endpoint {
        Some(arn) if !is_ours(arn) => found.others.push(Part::Endpoint(name.to_owned())),
        endpoint => {
            found.add(scaling(session, &[name.to_owned()]).await);
            found.parts.extend(endpoint.iter().map(|_| Part::Endpoint(name.to_owned())));
        }
    }
    let configs = configs.into_iter().map(|(name, arn)| (Part::Config(name.clone()), name, arn));
    for (part, other, arn) in
        configs.chain(models.into_iter().map(|(name, arn)| (Part::Model(name.clone()), name, arn)))
    {
        if is_of_it(&arn) || (other == name && is_ours(&arn)) {
            found.parts.push(part);
        } else if other == name {
            found.others.push(part);
        }
    }
    if let (Some(_), Some(described)) = (found.stays(), &described) {
        found.spare(session, name, described).await?;
    }
    Ok(found)
}

/// Everything that bears this program's tag; jobs come last, which were told to stop before anything else goes.
pub(super) async fn all(session: &Session) -> anyhow::Result<Found> {
    let jobs = jobs::running(session).await?;
    let endpoints = endpoints(session).await?;
    let (configs, models) = (configs(session, None).await?, models(session, None).await?);
    let arns = jobs
        .iter()
        .map(|(_, arn)| arn)
        .chain([&endpoints, &configs, &models].into_iter().flatten().map(|(_, arn)| arn));
    let mut tags = content::tags_of_all(&session.clients.sagemaker, arns.cloned()).await?;
    tags.retain(|_, tags| content::is_ours(tags));
    let names = |named: &[Named]| -> Vec<String> {
        named.iter().filter(|(_, arn)| tags.contains_key(arn)).map(|(name, _)| name.clone()).collect()
    };
    let mut found = Found::default();
    // Scaling outlives an endpoint that was deleted without it: what is left of its pieces names it.
    let is_of_others = |name: &str| endpoints.iter().any(|(other, arn)| other == name && !tags.contains_key(arn));
    let mut scaled = names(&endpoints);
    scaled.extend(tags.values().filter_map(|tags| content::value(tags, ENDPOINT)).map(str::to_owned));
    scaled.retain(|name| !is_of_others(name));
    found.add(scaling(session, &scaled).await);
    found.parts.extend(names(&endpoints).into_iter().map(Part::Endpoint));
    found.parts.extend(names(&configs).into_iter().map(Part::Config));
    found.parts.extend(names(&models).into_iter().map(Part::Model));
    let named: BTreeSet<&str> = tags.values().filter_map(|tags| content::value(tags, ENDPOINT)).collect();
    for name in named.into_iter().filter(|name| is_of_others(name)) {
        match deploy::describe(session, name).await {
            Err(error) if error.is_missing() => {}
            described => found.spare(session, name, &described?).await?,
        }
    }
    match session.bucket() {
        Ok(bucket) => found.add(uploads(session, bucket).await),
        Err(_) => session.progress.say("without --bucket incomplete uploads are not looked for"),
    }
    found.parts.extend(jobs.into_iter().filter(|(_, arn)| tags.contains_key(arn)).map(|(job, _)| Part::Job(job)));
    Ok(found)
}

/// Endpoints and jobs that run, each with whether it bears this program's tag.
pub(super) async fn running(session: &Session) -> anyhow::Result<Vec<(Part, bool)>> {
    let (jobs, endpoints) = (jobs::running(session).await?, endpoints(session).await?);
    let endpoints = endpoints.into_iter().map(|(name, arn)| (Part::Endpoint(name), arn));
    let all: Vec<(Part, String)> = endpoints.chain(jobs.into_iter().map(|(job, arn)| (Part::Job(job), arn))).collect();
    let arns = all.iter().map(|(_, arn)| arn.clone());
    let tags = content::tags_of_all(&session.clients.sagemaker, arns).await?;
    // What has no tags any more has gone since it was listed.
    let tagged = |(part, arn): (Part, String)| tags.get(&arn).map(|tags| (part, content::is_ours(tags)));
    Ok(all.into_iter().filter_map(tagged).collect())
}

/// The configurations that bear the tag of the endpoint.
pub(crate) async fn configs_of(session: &Session, endpoint: &str) -> anyhow::Result<Vec<String>> {
    let named = configs(session, Some(&content::stem(endpoint))).await?;
    tagged(session, named, endpoint).await
}

/// The models that bear the tag of the endpoint.
pub(crate) async fn models_of(session: &Session, endpoint: &str) -> anyhow::Result<Vec<String>> {
    let named = models(session, Some(&content::stem(endpoint))).await?;
    tagged(session, named, endpoint).await
}

async fn tagged(session: &Session, named: Vec<Named>, endpoint: &str) -> anyhow::Result<Vec<String>> {
    let arns = named.iter().map(|(_, arn)| arn.clone());
    let tagged = content::bearing(&session.clients.sagemaker, arns, ENDPOINT, endpoint).await?;
    Ok(named.into_iter().filter(|(_, arn)| tagged.contains(arn)).map(|(name, _)| name).collect())
}

/// Policies and targets of all variants of the endpoints, policies first. A target outlives an endpoint that was deleted
/// without it, so that they are looked for by their own names.
async fn scaling(session: &Session, endpoints: &[String]) -> Result<Vec<Part>, ServiceError> {
    if endpoints.is_empty() {
        return Ok(Vec::new());
    }
    let prefixes: Vec<String> = endpoints.iter().map(|name| deploy::resource_prefix(name)).collect();
    let is_theirs = |resource: &&str| prefixes.iter().any(|prefix| resource.starts_with(prefix.as_str()));
    let (mut resources, mut token) = (Vec::new(), None);
    loop {
        let request =
            session.clients.scaling.describe_scalable_targets().service_namespace(ServiceNamespace::Sagemaker);
        let request = request.scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount);
        let page = request.set_next_token(token).send().await.map_err(failed("DescribeScalableTargets"))?;
        let found = page.scalable_targets().iter().map(ScalableTarget::resource_id);
        resources.extend(found.filter(is_theirs).map(str::to_owned));
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    let mut parts = Vec::new();
    for resource in &resources {
        let policies = deploy::policies(session, resource).await?;
        let part = |name: &str| Part::Policy { resource: resource.clone(), name: name.to_owned() };
        parts.extend(policies.iter().map(|policy| part(policy.policy_name())));
    }
    parts.extend(resources.into_iter().map(|resource| Part::Target { resource }));
    Ok(parts)
}

async fn endpoints(session: &Session) -> Result<Vec<Named>, ServiceError> {
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_endpoints().max_results(PAGE).set_next_token(token);
        let page = request.send().await.map_err(failed("ListEndpoints"))?;
        let found = page.endpoints().iter();
        all.extend(found.filter_map(|one| Some((one.endpoint_name()?.to_owned(), one.endpoint_arn()?.to_owned()))));
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// All configurations, or those whose names contain `part`.
async fn configs(session: &Session, part: Option<&str>) -> Result<Vec<Named>, ServiceError> {
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_endpoint_configs().max_results(PAGE).set_next_token(token);
        let page = request.set_name_contains(part.map(str::to_owned)).send().await;
        let page = page.map_err(failed("ListEndpointConfigs"))?;
        let found = page.endpoint_configs().iter();
        all.extend(
            found.filter_map(|one| {
                Some((one.endpoint_config_name()?.to_owned(), one.endpoint_config_arn()?.to_owned()))
            }),
        );
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// All models, or those whose names contain `part`.
async fn models(session: &Session, part: Option<&str>) -> Result<Vec<Named>, ServiceError> {
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let request = session.clients.sagemaker.list_models().max_results(PAGE).set_next_token(token);
        let page = request.set_name_contains(part.map(str::to_owned)).send().await.map_err(failed("ListModels"))?;
        let found = page.models().iter();
        all.extend(found.filter_map(|one| Some((one.model_name()?.to_owned(), one.model_arn()?.to_owned()))));
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// Uploads in parts that were never completed.
async fn uploads(session: &Session, bucket: &str) -> Result<Vec<Part>, ServiceError> {
    let (mut parts, mut key, mut id) = (Vec::new(), None, None);
    loop {
        let request = session.clients.s3.list_multipart_uploads().bucket(bucket).prefix(PREFIX);
        let page = request.set_key_marker(key).set_upload_id_marker(id).send().await;
        let page = match page.map_err(failed("ListMultipartUploads")) {
            Err(ServiceError::Refused { code, .. }) if code == "NoSuchBucket" => return Ok(parts),
            outcome => outcome?,
        };
        parts.extend(page.uploads().iter().filter_map(|upload| {
            let place = S3Uri::new(bucket, upload.key()?);
            Some(Part::Upload { place, id: upload.upload_id()?.to_owned() })
        }));
        (key, id) = (page.next_key_marker().map(str::to_owned), page.next_upload_id_marker().map(str::to_owned));
        if page.is_truncated() != Some(true) || key.is_none() {
            return Ok(parts);
        }
    }
}
