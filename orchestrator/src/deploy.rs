//! `unspsc deploy`: model, endpoint configuration, endpoint, and scaling once it serves.

use anyhow::bail;
use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension, ServiceNamespace,
    TargetTrackingScalingPolicyConfiguration,
};
use aws_sdk_sagemaker::types::{
    ContainerDefinition, EndpointStatus, ProductionVariant, ProductionVariantInstanceType,
    ProductionVariantRoutingConfig, RoutingStrategy, Tag,
};

use crate::aws::failed;
use crate::options::{DeployArgs, ServeArgs};
use crate::progress::print;
use crate::session::Session;
use crate::storage::S3Uri;
use crate::undo::Started;
use crate::{follow, poll, train};

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
    let name = args.endpoint.clone().or_else(|| args.model.job.clone());
    let endpoint = name.unwrap_or_else(|| train::new_name("endpoint"));
    deploy(session, &endpoint, &artifact, &args.serve).await?;
    session.undo.settle(&Started::Endpoint(endpoint.clone()));
    print(&endpoint)
}

/// Puts the model at `artifact` behind the endpoint `name`; what is made bears that name, and is noted to be undone.
pub(crate) async fn deploy(session: &Session, name: &str, artifact: &str, serve: &ServeArgs) -> anyhow::Result<()> {
    let artifact: S3Uri = artifact.parse()?;
    let image_needed = "--serve-image is needed on AWS: the URI of the inference image in ECR";
    let image = session.setting(serve.serve_image.as_deref(), "unspsc-serve:local", image_needed)?;
    refuse_taken(session, name).await?;
    session.undo.note(Started::Endpoint(name.to_owned()));
    let step = session.progress.step(&format!("deploying {artifact} as endpoint {name}"));
    create(session, name, image, &artifact, &serve.serve_instance).await?;
    let (last, reason) = poll::until(session.interval, async || {
        let (status, reason) = status(session, name).await?;
        step.update(format!("endpoint {name}: {status}"));
        Ok(if is_settled(&status) { Some((status, reason)) } else { None })
    })
    .await?;
    if last != EndpointStatus::InService {
        bail!("endpoint {name} is {last}: {}", reason.as_deref().map_or("no reason given", str::trim));
    }
    scale(session, name).await?;
    session.progress.say(&format!(
        "endpoint {name} is in service; {} to {} instances, so that each gets {INVOCATIONS_PER_INSTANCE} invocations \
         a minute",
        CAPACITY.0, CAPACITY.1
    ));
    Ok(())
}

/// Refuses a name under which anything exists: undoing this deployment would take that down as well.
async fn refuse_taken(session: &Session, name: &str) -> anyhow::Result<()> {
    let sagemaker = &session.clients.sagemaker;
    let config = sagemaker.describe_endpoint_config().endpoint_config_name(name).send().await;
    let model = sagemaker.describe_model().model_name(name).send().await;
    for (what, found) in [
        ("endpoint", status(session, name).await.map(drop)),
        ("endpoint configuration", config.map(drop).map_err(failed("DescribeEndpointConfig"))),
        ("model", model.map(drop).map_err(failed("DescribeModel"))),
    ] {
        match found {
            Err(error) if error.is_missing() => {}
            Ok(()) => bail!(
                "{what} {name} exists: choose another --endpoint, or take it down with \
                 `unspsc destroy --endpoint {name} --yes`"
            ),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn create(
    session: &Session,
    name: &str,
    image: &str,
    artifact: &S3Uri,
    instance_type: &str,
) -> anyhow::Result<()> {
    let sagemaker = &session.clients.sagemaker;
    let tag = Tag::builder().key("unspsc:version").value(env!("CARGO_PKG_VERSION")).build();
    let container = ContainerDefinition::builder().image(image).model_data_url(artifact.to_string()).build();
    let model = sagemaker.create_model().model_name(name).primary_container(container);
    let model = model.execution_role_arn(session.role()?).tags(tag.clone());
    model.send().await.map_err(failed("CreateModel"))?;
    let routing = ProductionVariantRoutingConfig::builder();
    let variant = ProductionVariant::builder()
        .variant_name(VARIANT)
        .model_name(name)
        .initial_instance_count(CAPACITY.0)
        .initial_variant_weight(1.0)
        .instance_type(ProductionVariantInstanceType::from(instance_type))
        .routing_config(routing.routing_strategy(RoutingStrategy::LeastOutstandingRequests).build())
        .build();
    let config = sagemaker.create_endpoint_config().endpoint_config_name(name);
    let config = config.production_variants(variant).tags(tag.clone());
    config.send().await.map_err(failed("CreateEndpointConfig"))?;
    let endpoint = sagemaker.create_endpoint().endpoint_name(name).endpoint_config_name(name).tags(tag);
    endpoint.send().await.map_err(failed("CreateEndpoint"))?;
    Ok(())
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
pub(crate) async fn status(
    session: &Session,
    name: &str,
) -> Result<(EndpointStatus, Option<String>), crate::aws::ServiceError> {
    let described = session.clients.sagemaker.describe_endpoint().endpoint_name(name).send().await;
    let described = described.map_err(failed("DescribeEndpoint"))?;
    let status = described.endpoint_status().cloned().unwrap_or(EndpointStatus::from("Unknown"));
    Ok((status, described.failure_reason().map(str::to_owned)))
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
