//! `unspsc deploy`: model, endpoint configuration, endpoint, and scaling once it serves.

use anyhow::bail;
use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension, ServiceNamespace,
    TargetTrackingScalingPolicyConfiguration,
};
use aws_sdk_sagemaker::operation::describe_endpoint::DescribeEndpointOutput;
use aws_sdk_sagemaker::types::{
    ContainerDefinition, EndpointStatus, ProductionVariant, ProductionVariantInstanceType,
    ProductionVariantRoutingConfig, RoutingStrategy,
};

use crate::aws::{ServiceError, failed};
use crate::content::{self, Content, ENDPOINT};
use crate::options::{DeployArgs, ServeArgs};
use crate::progress::print;
use crate::session::Session;
use crate::storage::S3Uri;
use crate::undo::Started;
use crate::{follow, poll};

/// The one variant of an endpoint.
const VARIANT: &str = "AllTraffic";
/// Instances between which the endpoint scales.
const CAPACITY: (i32, i32) = (1, 4);
/// Invocations a minute that one instance is to get.
const INVOCATIONS_PER_INSTANCE: f64 = 25.0;
/// Seconds without another instance being taken away.
const SCALE_IN_COOLDOWN: i32 = 300;
/// Seconds without another instance being added.
const SCALE_OUT_COOLDOWN: i32 = 30;

/// Deploys a model and says under which name.
pub(crate) async fn run(session: &Session, args: &DeployArgs) -> anyhow::Result<()> {
    if session.ends_with_process() {
        bail!(
            "--local ends with this command, and its endpoints with it: start `sagemaker-local` and pass \
             --endpoint-url, or take the whole way with `unspsc run --local`"
        );
    }
    let artifact = match (&args.model.job, &args.model.artifact) {
        (_, Some(artifact)) => artifact.clone(),
        (Some(job), None) => follow::artifact(job, &follow::describe(session, job).await?)?,
        (None, None) => bail!("--job or --artifact is needed"),
    };
    let wanted = Wanted::new(session, &artifact, &args.serve)?;
    let name = args.endpoint.clone().or_else(|| args.model.job.clone());
    let endpoint = name.unwrap_or_else(|| wanted.content.name("endpoint"));
    deploy(session, &endpoint, &wanted).await?;
    session.undo.settle(&Started::Endpoint(endpoint.clone()));
    if session.is_plan() { Ok(()) } else { print(&endpoint) }
}

/// What is to be put behind an endpoint.
#[derive(Debug)]
pub(crate) struct Wanted {
    image: String,
    artifact: S3Uri,
    instance: String,
    content: Content,
}

impl Wanted {
    /// The model at `artifact`, to be served as `args` say.
    pub(crate) fn new(session: &Session, artifact: &str, args: &ServeArgs) -> anyhow::Result<Self> {
        let artifact: S3Uri = artifact.parse()?;
        // Asked for here, before anything is noted that would have to be undone.
        session.role()?;
        let image_needed = "--serve-image is needed on AWS: the URI of the inference image in ECR";
        let image = session.setting(args.serve_image.as_deref(), "unspsc-serve:local", image_needed)?.to_owned();
        let instance = args.serve_instance.clone();
        let content = Content::of(&(&image, artifact.to_string(), &instance))?;
        Ok(Self { image, artifact, instance, content })
    }
}

/// Puts the model behind the endpoint `name`, going on from what an earlier run has left; what is made bears that name,
/// and is noted to be undone.
pub(crate) async fn deploy(session: &Session, name: &str, wanted: &Wanted) -> anyhow::Result<()> {
    let there = There::look(session, name, wanted).await?;
    if there.endpoint == Some(EndpointStatus::Deleting) {
        bail!("endpoint {name} is being deleted: run the command again in a minute, or choose another --endpoint");
    }
    if there.endpoint.is_none() {
        session.undo.note_once(Started::Endpoint(name.to_owned()));
    }
    let step = session.progress.step(&format!("deploying {} as endpoint {name}", wanted.artifact));
    create(session, name, wanted, &there).await?;
    if !session.is_plan() {
        let (last, reason) = poll::until(session.pace, async || {
            let (status, reason) = status(session, name).await?;
            step.update(format!("endpoint {name}: {status}"));
            Ok(if is_settled(&status) { Some((status, reason)) } else { None })
        })
        .await?;
        if last != EndpointStatus::InService {
            let reason = reason.as_deref().map_or("no reason given", str::trim);
            bail!("endpoint {name} is {last}: {reason}; `unspsc destroy --endpoint {name} --yes` clears it away");
        }
    }
    scale(session, name).await?;
    if !session.is_plan() {
        session.progress.say(&format!(
            "endpoint {name} is in service; {} to {} instances, so that each gets {INVOCATIONS_PER_INSTANCE} \
             invocations a minute",
            CAPACITY.0, CAPACITY.1
        ));
    }
    Ok(())
}

/// What an earlier run has left.
#[derive(Debug)]
struct There {
    model: bool,
    config: bool,
    endpoint: Option<EndpointStatus>,
}

impl There {
    /// # Errors
    /// When something of that name was made of something else: undoing this deployment would take that down as well.
    async fn look(session: &Session, name: &str, wanted: &Wanted) -> anyhow::Result<Self> {
        let sagemaker = &session.clients.sagemaker;
        let model = sagemaker.describe_model().model_name(name).send().await.map_err(failed("DescribeModel"));
        let config = sagemaker.describe_endpoint_config().endpoint_config_name(name).send().await;
        let config = config.map_err(failed("DescribeEndpointConfig"));
        let (model, config) = (unless_missing(model)?, unless_missing(config)?);
        let endpoint = unless_missing(describe(session, name).await)?;
        let same_model = model.as_ref().is_none_or(|model| {
            let container = model.primary_container();
            let artifact = container.and_then(|container| container.model_data_url());
            container.and_then(|container| container.image()) == Some(wanted.image.as_str())
                && artifact == Some(wanted.artifact.to_string().as_str())
        });
        let same_config = config.as_ref().is_none_or(|config| match config.production_variants() {
            [variant] => {
                let instance = variant.instance_type().map(ProductionVariantInstanceType::as_str);
                variant.model_name() == Some(name) && instance == Some(wanted.instance.as_str())
            }
            _ => false,
        });
        let same_endpoint = endpoint.as_ref().is_none_or(|endpoint| endpoint.endpoint_config_name() == Some(name));
        for (what, is_same) in
            [("model", same_model), ("endpoint configuration", same_config), ("endpoint", same_endpoint)]
        {
            if !is_same {
                bail!(
                    "{what} {name} exists and was made of something else: choose another --endpoint, or take it down \
                     with `unspsc destroy --endpoint {name} --yes`"
                );
            }
        }
        let endpoint = endpoint.and_then(|endpoint| endpoint.endpoint_status().cloned());
        Ok(Self { model: model.is_some(), config: config.is_some(), endpoint })
    }
}

fn unless_missing<T>(found: Result<T, ServiceError>) -> Result<Option<T>, ServiceError> {
    match found {
        Err(error) if error.is_missing() => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Creates what is not there yet.
async fn create(session: &Session, name: &str, wanted: &Wanted, there: &There) -> anyhow::Result<()> {
    let sagemaker = &session.clients.sagemaker;
    let tags = content::tags(&wanted.content, &[(ENDPOINT, name)]);
    if !there.model {
        let container = ContainerDefinition::builder().image(&wanted.image).model_data_url(wanted.artifact.to_string());
        let model = sagemaker.create_model().model_name(name).primary_container(container.build());
        let model = model.execution_role_arn(session.role()?).set_tags(Some(tags.clone()));
        let created = model.send().await.map_err(failed("CreateModel"));
        unless_there(session, name, wanted, created, |there| there.model).await?;
    }
    if !there.config {
        let routing = ProductionVariantRoutingConfig::builder();
        let variant = ProductionVariant::builder()
            .variant_name(VARIANT)
            .model_name(name)
            .initial_instance_count(CAPACITY.0)
            .initial_variant_weight(1.0)
            .instance_type(ProductionVariantInstanceType::from(wanted.instance.as_str()))
            .routing_config(routing.routing_strategy(RoutingStrategy::LeastOutstandingRequests).build())
            .build();
        let config = sagemaker.create_endpoint_config().endpoint_config_name(name);
        let config = config.production_variants(variant).set_tags(Some(tags.clone()));
        let created = config.send().await.map_err(failed("CreateEndpointConfig"));
        unless_there(session, name, wanted, created, |there| there.config).await?;
    }
    if there.endpoint.is_none() {
        let endpoint = sagemaker.create_endpoint().endpoint_name(name).endpoint_config_name(name);
        let created = endpoint.set_tags(Some(tags)).send().await.map_err(failed("CreateEndpoint"));
        unless_there(session, name, wanted, created, |there| there.endpoint.is_some()).await?;
    }
    Ok(())
}

/// Passes over an error of `created` where the thing is there after all, and made of what was wanted: its answer got lost.
async fn unless_there<T>(
    session: &Session,
    name: &str,
    wanted: &Wanted,
    created: Result<T, ServiceError>,
    is_there: impl Fn(&There) -> bool,
) -> anyhow::Result<()> {
    let Err(error) = created else { return Ok(()) };
    if (error.is_taken() || error.is_transient()) && is_there(&There::look(session, name, wanted).await?) {
        return Ok(());
    }
    Err(error.into())
}

/// Registers the endpoint for scaling; before it is in service, its capacity would not be taken over.
async fn scale(session: &Session, name: &str) -> anyhow::Result<()> {
    let scaling = &session.clients.scaling;
    let target = scaling
        .register_scalable_target()
        .service_namespace(ServiceNamespace::Sagemaker)
        .resource_id(resource_id(name))
        .scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount)
        .min_capacity(CAPACITY.0)
        .max_capacity(CAPACITY.1);
    target.send().await.map_err(failed("RegisterScalableTarget"))?;
    let metric = PredefinedMetricSpecification::builder()
        .predefined_metric_type(MetricType::SageMakerVariantInvocationsPerInstance)
        .build()?;
    let tracking = TargetTrackingScalingPolicyConfiguration::builder()
        .target_value(INVOCATIONS_PER_INSTANCE)
        .predefined_metric_specification(metric)
        .scale_in_cooldown(SCALE_IN_COOLDOWN)
        .scale_out_cooldown(SCALE_OUT_COOLDOWN)
        .build()?;
    let policy = scaling
        .put_scaling_policy()
        .policy_name(policy_name(name))
        .service_namespace(ServiceNamespace::Sagemaker)
        .resource_id(resource_id(name))
        .scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount)
        .policy_type(PolicyType::TargetTrackingScaling)
        .target_tracking_scaling_policy_configuration(tracking);
    policy.send().await.map_err(failed("PutScalingPolicy"))?;
    Ok(())
}

/// Status of the endpoint, and why it failed.
pub(crate) async fn status(session: &Session, name: &str) -> Result<(EndpointStatus, Option<String>), ServiceError> {
    let described = describe(session, name).await?;
    let status = described.endpoint_status().cloned().unwrap_or(EndpointStatus::from("Unknown"));
    Ok((status, described.failure_reason().map(str::to_owned)))
}

/// The description of the endpoint.
pub(crate) async fn describe(session: &Session, name: &str) -> Result<DescribeEndpointOutput, ServiceError> {
    let described = session.clients.sagemaker.describe_endpoint().endpoint_name(name).send().await;
    described.map_err(failed("DescribeEndpoint"))
}

/// Whether nothing is under way that will change the status by itself.
pub(crate) fn is_settled(status: &EndpointStatus) -> bool {
    use EndpointStatus::{Creating, Deleting, RollingBack, SystemUpdating, Updating};
    !matches!(status, Creating | Deleting | RollingBack | SystemUpdating | Updating)
}

/// The endpoint's variant as Application Auto Scaling names it.
pub(crate) fn resource_id(endpoint: &str) -> String {
    format!("endpoint/{endpoint}/variant/{VARIANT}")
}

/// The name of the endpoint's scaling policy.
pub(crate) fn policy_name(endpoint: &str) -> String {
    format!("{endpoint}-invocations")
}
