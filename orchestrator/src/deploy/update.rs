//! Another content behind an endpoint that serves: UpdateEndpoint, and the way back.
//!
//! The former configuration is noted in a tag of the endpoint until the new model has answered, so that a run after one
//! that was killed knows the way back too.

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::operation::describe_endpoint::DescribeEndpointOutput;
use aws_sdk_sagemaker::types::{EndpointStatus, ProductionVariantInstanceType};

use crate::aws::{ServiceError, failed};
use crate::content::FORMER;
use crate::poll;
use crate::progress::Step;
use crate::session::Session;
use crate::undo::Started;

use super::former::{self, Former};
use super::rollout::Rollout;
use super::there::{self, There, reason_of, status_of};
use super::wanted::{Pieces, Wanted};
use super::{clear, create, smoke};

/// What an update comes from, and the way back to it.
struct Back<'a> {
    session: &'a Session,
    name: &'a str,
    arn: &'a str,
    /// The configuration to go back to.
    config: &'a str,
    /// The one that is noted as the last that was found good.
    former: &'a str,
}

/// Brings the endpoint to the new content, or leaves it with the old one and says why.
pub(super) async fn update(
    session: &Session,
    name: &str,
    wanted: &Wanted,
    (there, pieces): (&There, &Pieces),
    rollout: &Rollout,
) -> anyhow::Result<()> {
    if there.status != EndpointStatus::InService {
        bail!(
            "endpoint {name} is {} and takes no update: `{}` clears it away",
            there.status,
            session.command(&format!("destroy --endpoint {name}"))
        );
    }
    super::refuse_other_stack(session, name).await?;
    let instance = instance_of(session, &there.config).await?;
    let retain = instance.is_some() && wanted.instance().is_some();
    // What cannot be put back is refused before anything is noted that would have to be undone.
    let scaling =
        if instance.as_deref() == wanted.instance() { None } else { Some(Former::look(session, name).await?) };
    session.undo.note_once(Started::Update(name.to_owned()));
    let step = session.changing(&format!("updating endpoint {name} to {}", wanted.artifact));
    create::model(session, name, wanted, &pieces.model).await?;
    create::config(session, name, wanted, pieces).await?;
    // What serves now may come from an update that nobody has found good: then the way back is the one from before that.
    let former = there.former.as_deref().unwrap_or(&there.config);
    there::tag(session, &there.arn, FORMER, former).await?;
    if let Some(scaling) = scaling {
        scaling.take_off(session).await?;
    }
    let config: &str = if former == pieces.config.name { &there.config } else { former };
    let back = Back { session, name, arn: &there.arn, config, former };
    // A serverless endpoint knows one way.
    let rollout = wanted.instance().map(|_| rollout);
    if let Err(error) = request(session, name, &pieces.config.name, retain, rollout).await {
        // Without an answer it may be under way all the same.
        return Err(if error.is_transient() { error.into() } else { back.clear_up(&there.config, error.into()).await });
    }
    if session.is_plan() {
        return Ok(());
    }
    let described = settled(session, name, &step).await?;
    drop(step);
    let status = status_of(&described);
    if described.endpoint_config_name() != Some(&pieces.config.name) || status != EndpointStatus::InService {
        return Err(back.taken_back(&described).await);
    }
    match smoke::test(session, name, wanted).await {
        Err(error) => Err(back.go_back(error).await),
        Ok(()) => Ok(()),
    }
}

/// Asks the endpoint that has the wanted content already; if that came by an update that nobody has found good, and it is
/// not, the former content comes back.
pub(super) async fn confirm(session: &Session, name: &str, wanted: &Wanted, there: &There) -> anyhow::Result<()> {
    if there.status != EndpointStatus::InService {
        bail!(
            "endpoint {name} is {}: `{}` clears it away",
            there.status,
            session.command(&format!("destroy --endpoint {name}"))
        );
    }
    let Err(error) = smoke::test(session, name, wanted).await else { return Ok(()) };
    let Some(former) = &there.former else {
        return Err(error.context("it was there before, and is left as it is"));
    };
    Err(Back { session, name, arn: &there.arn, config: former, former }.go_back(error).await)
}

impl Back<'_> {
    /// SageMaker has taken the update back, or tried to.
    async fn taken_back(&self, described: &DescribeEndpointOutput) -> anyhow::Error {
        let (session, name, status, reason) =
            (self.session, self.name, status_of(described), reason_of(described).to_owned());
        if status != EndpointStatus::InService {
            // What its instances are made of is not certain: nothing of it may be deleted.
            former::tell_left(session);
            session.undo.settle(&Started::Update(name.to_owned()));
            return anyhow::anyhow!(
                "the update of endpoint {name} failed, and so did the way back: it is {status}: {reason}; `{}` clears it away",
                session.command(&format!("destroy --endpoint {name}"))
            );
        }
        let serves = described.endpoint_config_name().unwrap_or(self.config);
        if serves != self.config && self.config == self.former {
            // Nobody has found good what serves again.
            return self.go_back(anyhow::anyhow!("the update of endpoint {name} was taken back: {reason}")).await;
        }
        let error = anyhow::anyhow!(
            "the update of endpoint {name} was taken back: {reason}; its former model serves as before ({serves})"
        );
        self.clear_up(serves, error).await
    }

    /// Puts the former configuration back, since the new one does not answer as it should.
    async fn go_back(&self, error: anyhow::Error) -> anyhow::Error {
        let (session, name) = (self.session, self.name);
        session.progress.say(&format!("{error:#}"));
        let step = session.progress.step(&format!("endpoint {name} gets its former model back"));
        session.undo.note_once(Started::Update(name.to_owned()));
        let outcome = async {
            let serves = there::describe(session, name).await?;
            let instance = instance_of(session, serves.endpoint_config_name().unwrap_or_default()).await?;
            let former = instance_of(session, self.config).await?;
            if instance != former && !session.taken_off.is_some() {
                Former::look(session, name).await?.take_off(session).await?;
            }
            let (retain, at_once) = (instance.is_some() && former.is_some(), Rollout::at_once());
            request(session, name, self.config, retain, former.as_ref().map(|_| &at_once)).await?;
            let described = settled(session, name, &step).await?;
            let status = status_of(&described);
            if described.endpoint_config_name() != Some(self.config) || status != EndpointStatus::InService {
                bail!("it is {status}: {}", reason_of(&described));
            }
            Ok(())
        };
        if let Err(reason) = outcome.await {
            let scaled = async {
                let serves = there::describe(session, name).await?;
                former::put_back(session, serves.endpoint_config_name().unwrap_or_default()).await
            };
            if let Err(reason) = scaled.await {
                session.progress.say(&format!("the scaling of endpoint {name} is still off: {reason:#}"));
            }
            session.undo.settle(&Started::Update(name.to_owned()));
            return error.context(format!(
                "endpoint {name} serves a model that does not answer, and could not get its former one back ({reason:#}): \
                 run `{}` again, or deploy another",
                session.command(&format!("deploy --endpoint {name} …"))
            ));
        }
        drop(step);
        self.clear_up(self.config, error.context(format!("endpoint {name} serves its former model again"))).await
    }

    /// Takes away what the update has made, and puts back what it took off; the configuration `serves` does so now, and
    /// `error` is what is said of it all.
    async fn clear_up(&self, serves: &str, error: anyhow::Error) -> anyhow::Error {
        let (session, name) = (self.session, self.name);
        if let Err(reason) = former::put_back(session, serves).await {
            session.progress.say(&format!("the scaling of endpoint {name} is still off: {reason:#}"));
        }
        let outcome = async {
            if serves == self.former {
                there::forget_former(session, self.arn).await?;
            }
            clear::all_but(session, name, &[serves.to_owned(), self.former.to_owned()]).await
        };
        if let Err(reason) = outcome.await {
            session.progress.say(&format!("what the update has made could not be cleared away: {reason:#}"));
        }
        session.undo.settle(&Started::Update(name.to_owned()));
        error
    }
}

/// The instance type of a configuration that is there.
async fn instance_of(session: &Session, config: &str) -> anyhow::Result<Option<String>> {
    let variants = clear::variants(session, config).await?;
    let instance =
        variants.first().and_then(|variant| variant.instance_type().map(ProductionVariantInstanceType::as_str));
    Ok(instance.map(str::to_owned))
}

/// UpdateEndpoint, as soon as scaling lets it; an answer that got lost is no error where the update is under way.
async fn request(
    session: &Session,
    name: &str,
    config: &str,
    retain: bool,
    rollout: Option<&Rollout>,
) -> Result<(), ServiceError> {
    let rollout = rollout.map(Rollout::config);
    poll::until(session.pace, async || {
        let update = session.clients.sagemaker.update_endpoint().endpoint_name(name).endpoint_config_name(config);
        let update = update.retain_all_variant_properties(retain).set_deployment_config(rollout.clone());
        let Err(error) = update.send().await.map_err(failed("UpdateEndpoint")) else { return Ok(Some(())) };
        let described = there::describe(session, name).await?;
        let pending = described.pending_deployment_summary().and_then(|pending| pending.endpoint_config_name());
        if [pending, described.endpoint_config_name()].contains(&Some(config)) {
            return Ok(Some(()));
        }
        // Instances are being added or taken away.
        if there::is_settled(&status_of(&described)) { Err(error) } else { Ok(None) }
    })
    .await
}

async fn settled(session: &Session, name: &str, step: &Step) -> anyhow::Result<DescribeEndpointOutput> {
    let described = there::settled(session, name, step).await?;
    described.with_context(|| format!("endpoint {name} was deleted by somebody else while it was being updated"))
}
