//! The life of an endpoint: its first deployment, its scaling and its updates, until it is deleted.
//!
//! What is wanted stands in the endpoint's record, where the operations write it; whoever changes it nudges the supervisor, which brings
//! the instances in line and writes back what there is.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::fleet::{Event, Fleet};
use super::record::{Deployment, Endpoint, EndpointStatus, Update, VariantSummary};
use crate::error::ApiError;
use crate::faults::FaultKind;
use crate::platform::Platform;
use crate::scaling;
use crate::store::ENDPOINT_STOPPED;
use crate::tasks::{Stop, StopSignal};
use crate::time::Time;

/// So many failures in a row end the wish for more instances.
const MAX_FAILURES: u32 = 3;

/// Why an endpoint is no more.
#[derive(Debug)]
enum Over {
    /// Told so.
    Stopped,
    /// By itself; the text becomes its `FailureReason`.
    Failed(String),
}

impl From<ApiError> for Over {
    fn from(error: ApiError) -> Self {
        Self::Failed(format!("InternalServerError: {error}"))
    }
}

/// Runs the endpoint `name` until it is deleted or fails, and keeps its record.
pub(super) async fn run(platform: Arc<Platform>, name: &str, deployment: Deployment, stop: StopSignal) {
    let (events, inbox) = mpsc::unbounded_channel();
    let mut supervisor = Supervisor { platform, name, events, inbox, stop, current: None, next: None, share: 0.0 };
    let over = supervisor.serve(deployment).await;
    supervisor.platform.routes.remove(name);
    tracing::info!(endpoint = name, ?over, "endpoint is over");
    let fleets = [supervisor.current.take(), supervisor.next.take()];
    let recorded = supervisor.record(|endpoint, now| match over {
        _ if endpoint.endpoint_status == EndpointStatus::Deleting => {}
        Over::Failed(reason) => endpoint.fail(&reason, now),
        Over::Stopped => endpoint.fail(ENDPOINT_STOPPED, now),
    });
    if let Err(error) = recorded {
        tracing::error!(endpoint = name, ?error, "cannot record the end of the endpoint");
    }
    for fleet in fleets.into_iter().flatten() {
        fleet.disband().await;
    }
}

struct Supervisor<'a> {
    platform: Arc<Platform>,
    name: &'a str,
    events: mpsc::UnboundedSender<Event>,
    inbox: mpsc::UnboundedReceiver<Event>,
    stop: StopSignal,
    /// What the endpoint is.
    current: Option<Fleet>,
    /// What an update makes of it.
    next: Option<Fleet>,
    /// The part of the traffic that `next` has.
    share: f64,
}

impl Supervisor<'_> {
    async fn serve(&mut self, deployment: Deployment) -> Over {
        match self.life(deployment).await {
            Ok(()) => Over::Stopped,
            Err(over) => over,
        }
    }

    /// Returns when the endpoint is told to stop.
    async fn life(&mut self, deployment: Deployment) -> Result<(), Over> {
        self.create(deployment).await?;
        while self.turn(None).await? {
            if self.read(|endpoint| endpoint.update.is_some())? {
                self.update().await?;
            } else {
                self.report_scaling()?;
            }
        }
        Ok(())
    }

    /// Brings all instances of the first deployment up, or none.
    async fn create(&mut self, deployment: Deployment) -> Result<(), Over> {
        let counts: Vec<u32> = deployment.parts.iter().map(|part| part.variant.first_count()).collect();
        let weights: Vec<f64> = deployment.parts.iter().map(|part| part.variant.initial_variant_weight).collect();
        let fleet =
            Fleet::new(Arc::clone(&self.platform), self.name, deployment, self.events.clone(), self.stop.clone());
        let mut fleet = fleet.await.map_err(Over::Failed)?;
        fleet.want(&counts);
        let summaries = summaries(fleet.deployment(), &counts, &weights, self.platform.clock.now());
        self.current = Some(fleet);
        self.record(|endpoint, _| endpoint.production_variants = summaries)?;
        while !self.current.as_ref().is_some_and(Fleet::is_complete) {
            if !self.turn(None).await? {
                return Err(Over::Stopped);
            }
            if let Some(reason) = self.current.as_ref().and_then(|fleet| fleet.failure.clone()) {
                return Err(Over::Failed(reason));
            }
        }
        // The route comes first: whoever sees `InService` may invoke at once.
        let pools = self.current.as_ref().map(|fleet| fleet.pools(1.0, &weights)).unwrap_or_default();
        self.platform.routes.set(self.name, pools);
        self.record(|endpoint, now| endpoint.enter(EndpointStatus::InService, now))?;
        tracing::info!(endpoint = self.name, "endpoint is in service");
        Ok(())
    }

    /// Waits until something happens, at the latest until `deadline`, and brings everything in line; false if the endpoint is to stop.
    async fn turn(&mut self, deadline: Option<Time>) -> Result<bool, Over> {
        self.settle()?;
        let launch = self.fleets().filter_map(Fleet::next_launch).min();
        let (platform, inbox, stop) = (&self.platform, &mut self.inbox, &mut self.stop);
        let event = tokio::select! {
            event = inbox.recv() => event,
            () = stop.nudged() => None,
            () = at(launch.map(tokio::time::sleep_until)) => None,
            () = at(deadline.map(|deadline| platform.clock.sleep_until(deadline))) => None,
        };
        if let Some(event) = event {
            let mut fleets = self.current.iter_mut().chain(&mut self.next);
            if let Some(fleet) = fleets.find(|fleet| fleet.is_of(&event)) {
                fleet.note(event);
            }
        }
        self.settle()?;
        Ok(self.stop.now() == Stop::No)
    }

    fn fleets(&self) -> impl Iterator<Item = &Fleet> {
        self.current.iter().chain(&self.next)
    }

    /// Brings instances in line with the record, and routes and record in line with the instances.
    fn settle(&mut self) -> Result<(), Over> {
        let (status, variants) =
            self.read(|endpoint| (endpoint.endpoint_status, endpoint.production_variants.clone()))?;
        let wanted: Vec<u32> = variants.iter().map(|variant| variant.desired_instance_count).collect();
        let weights: Vec<f64> = variants.iter().map(|variant| variant.desired_weight).collect();
        let mut pools = Vec::new();
        if let Some(current) = &mut self.current {
            current.want(&wanted);
            current.settle();
            pools.extend(current.pools(1.0 - self.share, &weights));
        }
        if let Some(next) = &mut self.next {
            next.settle();
            let weights: Vec<f64> =
                next.deployment().parts.iter().map(|part| part.variant.initial_variant_weight).collect();
            pools.extend(next.pools(self.share, &weights));
        }
        if status != EndpointStatus::Creating {
            self.platform.routes.set(self.name, pools);
        }
        let counts = self.current.as_ref().map(Fleet::counts).unwrap_or_default();
        let mut seen = variants.clone();
        for (variant, count) in seen.iter_mut().zip(counts) {
            variant.current_instance_count = count;
            variant.current_weight = variant.desired_weight;
        }
        if seen == variants {
            return Ok(());
        }
        self.record(|endpoint, _| {
            for (variant, seen) in endpoint.production_variants.iter_mut().zip(seen) {
                variant.current_instance_count = seen.current_instance_count;
                variant.current_weight = seen.current_weight;
            }
        })
    }

    /// Takes the endpoint back into service once a change of its number of instances is through, or has failed for good.
    fn report_scaling(&mut self) -> Result<(), Over> {
        let Some(current) = &self.current else { return Ok(()) };
        let failed = current.failures() >= MAX_FAILURES;
        if !current.is_complete() && !failed {
            return Ok(());
        }
        let (counts, wanted) = (current.counts(), current.wanted());
        let failure = current.failure.clone().filter(|_| !current.is_complete()).unwrap_or_default();
        let now = self.platform.clock.now();
        let reported = self.platform.store.update(|state| {
            let Some(endpoint) = state.endpoints.get_mut(self.name) else { return Ok(()) };
            // What has been asked for since the last look is neither done nor failed.
            let desired = endpoint.production_variants.iter().map(|variant| variant.desired_instance_count);
            let is_this = desired.eq(wanted) && endpoint.update.is_none();
            if endpoint.endpoint_status != EndpointStatus::Updating || !is_this {
                return Ok(());
            }
            endpoint.failure_reason = None;
            if !failure.is_empty() {
                for (variant, count) in endpoint.production_variants.iter_mut().zip(counts) {
                    variant.desired_instance_count = count.max(1);
                }
                endpoint.blame(&failure);
            }
            endpoint.enter(EndpointStatus::InService, now);
            scaling::end_activities(
                state,
                self.name,
                Some(failure.as_str()).filter(|failure| !failure.is_empty()),
                now,
            );
            Ok::<_, ApiError>(())
        });
        Ok(reported?)
    }

    /// Carries out the update that the record asks for, or takes it back.
    async fn update(&mut self) -> Result<(), Over> {
        let Some(update) = self.read(|endpoint| endpoint.update.clone())? else { return Ok(()) };
        let outcome = self.shift(&update).await;
        self.share = if outcome.is_ok() { 1.0 } else { 0.0 };
        let Some(next) = self.next.take() else {
            // Its model could not be unpacked.
            return self.roll_back(&outcome.err().unwrap_or_default());
        };
        match outcome {
            Ok(()) => {
                let retired = self.current.replace(next);
                self.share = 0.0;
                self.adopt(&update)?;
                if let Some(retired) = retired {
                    retired.disband().await;
                }
                Ok(())
            }
            Err(_) if self.stop.now() != Stop::No => {
                self.next = Some(next);
                Err(Over::Stopped)
            }
            Err(reason) => {
                self.record(|endpoint, now| endpoint.enter(EndpointStatus::RollingBack, now))?;
                self.settle()?;
                next.disband().await;
                self.roll_back(&reason)
            }
        }
    }

    /// Starts the new fleet and moves the traffic to it.
    ///
    /// # Errors
    /// Why it is to be taken back; the text is of no use where the endpoint is to stop.
    async fn shift(&mut self, update: &Update) -> Result<(), String> {
        let counts = self.counts_of(update);
        let (platform, events) = (Arc::clone(&self.platform), self.events.clone());
        let mut next = Fleet::new(platform, self.name, update.deployment.clone(), events, self.stop.clone()).await?;
        next.want(&counts);
        self.next = Some(next);
        let begun = self.platform.clock.now();
        let deadline = update.policy.timeout().map(|timeout| begun.plus(timeout));
        while !self.next.as_ref().is_some_and(Fleet::is_complete) {
            self.wait(deadline, deadline).await?;
            if let Some(failure) = self.next.as_ref().and_then(|fleet| fleet.failure.clone()) {
                return Err(failure);
            }
        }
        let shares = update.policy.shares(counts.iter().sum());
        for share in shares {
            self.share = share;
            if let Some(alarm) =
                update.policy.alarms.iter().find(|alarm| self.platform.faults.strike(FaultKind::Alarm, alarm).is_some())
            {
                return Err(format!(
                    "One or more alarms configured for automatic rollback are in ALARM state: [{alarm}]"
                ));
            }
            let pause = if share < 1.0 { update.policy.wait() } else { update.policy.termination_wait() };
            let until = self.platform.clock.now().plus(pause);
            loop {
                self.wait(Some(until), deadline).await?;
                if self.platform.clock.now() >= until {
                    break;
                }
            }
        }
        Ok(())
    }

    /// One turn during an update.
    async fn wait(&mut self, until: Option<Time>, deadline: Option<Time>) -> Result<(), String> {
        let until = until.into_iter().chain(deadline).min();
        match self.turn(until).await {
            Ok(true) => {}
            Ok(false) => return Err(String::new()),
            Err(Over::Failed(reason)) => return Err(reason),
            Err(Over::Stopped) => return Err(String::new()),
        }
        if deadline.is_some_and(|deadline| self.platform.clock.now() >= deadline) {
            return Err("The deployment took longer than MaximumExecutionTimeoutInSeconds.".to_owned());
        }
        Ok(())
    }

    /// Instances of each variant that the update begins with.
    fn counts_of(&self, update: &Update) -> Vec<u32> {
        let present = self.read(|endpoint| endpoint.production_variants.clone()).unwrap_or_default();
        let count = |part: &super::record::Part| {
            let before = present.iter().find(|variant| variant.variant_name == part.variant.variant_name);
            let kept = before.filter(|_| update.retain).map(|variant| variant.desired_instance_count);
            kept.unwrap_or_else(|| part.variant.first_count())
        };
        update.deployment.parts.iter().map(count).collect()
    }

    /// Makes the record say that the update is what the endpoint is.
    fn adopt(&mut self, update: &Update) -> Result<(), Over> {
        let (counts, now) = (self.counts_of(update), self.platform.clock.now());
        let up = self.current.as_ref().map(Fleet::counts).unwrap_or_default();
        self.record(|endpoint, at| {
            let weight = |part: &super::record::Part| {
                let before = endpoint.variant(&part.variant.variant_name).filter(|_| update.retain);
                before.map_or(part.variant.initial_variant_weight, |variant| variant.desired_weight)
            };
            let weights: Vec<f64> = update.deployment.parts.iter().map(weight).collect();
            endpoint.production_variants = summaries(&update.deployment, &counts, &weights, now);
            for (variant, up) in endpoint.production_variants.iter_mut().zip(up) {
                variant.current_instance_count = up;
            }
            endpoint.endpoint_config_name = update.deployment.config.clone();
            endpoint.async_inference_config = update.deployment.asynchronous.clone();
            endpoint.deployment = update.deployment.clone();
            (endpoint.update, endpoint.pending_deployment_summary, endpoint.failure_reason) = (None, None, None);
            endpoint.enter(EndpointStatus::InService, at);
        })?;
        self.settle()
    }

    /// Makes the record say that the update was taken back.
    fn roll_back(&mut self, reason: &str) -> Result<(), Over> {
        self.record(|endpoint, now| {
            (endpoint.update, endpoint.pending_deployment_summary) = (None, None);
            endpoint.blame(reason);
            endpoint.enter(EndpointStatus::InService, now);
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Endpoint) -> T) -> Result<T, Over> {
        let gone = || Over::Failed("InternalServerError: the endpoint's record is gone".to_owned());
        self.platform.store.read(|state| state.endpoints.get(self.name).map(look)).ok_or_else(gone)
    }

    fn record(&self, change: impl FnOnce(&mut Endpoint, Time)) -> Result<(), Over> {
        let now = self.platform.clock.now();
        let recorded = self.platform.store.update(|state| {
            if let Some(endpoint) = state.endpoints.get_mut(self.name) {
                change(endpoint, now);
            }
            Ok::<_, ApiError>(())
        });
        Ok(recorded?)
    }
}

fn summaries(deployment: &Deployment, counts: &[u32], weights: &[f64], now: Time) -> Vec<VariantSummary> {
    let parts = deployment.parts.iter().zip(counts).zip(weights);
    parts.map(|((part, count), weight)| VariantSummary::new(part, *count, *weight, now)).collect()
}

/// Returns when `time` has come; never if there is none.
async fn at(time: Option<impl Future<Output = ()>>) {
    match time {
        Some(time) => time.await,
        None => std::future::pending().await,
    }
}
