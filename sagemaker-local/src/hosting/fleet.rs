//! A deployment's instances: as many of each variant as are wanted, started, replaced and taken away.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use unspsc_contract::OptMl;

use super::instance::{Instance, InstanceSpec, NoInstance, unpack_model};
use super::record::{Deployment, Part};
use super::routes::{Backend, Pool};
use crate::platform::Platform;
use crate::tasks::{Grace, StopSignal};

/// The pause before an instance that failed is replaced; it doubles with each failure in a row, up to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An instance that was up for so long and ends is the first of a new row of failures.
const STABLE: Duration = Duration::from_secs(60);

/// What has become of an instance.
#[derive(Debug)]
pub(super) struct Event {
    deployment: u32,
    id: String,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    /// It answers `/ping`, and listens on this port.
    Up(u16),
    /// It did not come up, or ended by itself.
    Failed(NoInstance),
    /// It was told to end, and has.
    Gone,
}

#[derive(Debug)]
enum Stage {
    Starting,
    /// It answers, since then.
    Up(Arc<Backend>, Instant),
    /// It was told to end.
    Leaving,
}

/// An instance as its fleet knows it.
#[derive(Debug)]
struct Member {
    id: String,
    /// The index of its variant.
    part: usize,
    stage: Stage,
    /// Tells the instance to end.
    leave: watch::Sender<bool>,
}

/// A variant of a fleet.
#[derive(Debug)]
struct Group {
    part: Part,
    wanted: u32,
    failures: u32,
    /// Until then a failed instance is not replaced.
    pause_until: Option<Instant>,
}

/// The instances of a deployment.
#[derive(Debug)]
pub(super) struct Fleet {
    platform: Arc<Platform>,
    endpoint: String,
    deployment: Deployment,
    groups: Vec<Group>,
    members: Vec<Member>,
    tasks: JoinSet<()>,
    events: mpsc::UnboundedSender<Event>,
    stop: StopSignal,
    /// What went wrong last.
    pub(super) failure: Option<String>,
}

impl Fleet {
    /// A fleet without instances, whose models are unpacked.
    ///
    /// # Errors
    /// A sentence on the model that cannot be unpacked.
    pub(super) async fn new(
        platform: Arc<Platform>,
        endpoint: &str,
        deployment: Deployment,
        events: mpsc::UnboundedSender<Event>,
        stop: StopSignal,
    ) -> Result<Self, String> {
        let group = |part: &Part| Group { part: part.clone(), wanted: 0, failures: 0, pause_until: None };
        let groups = deployment.parts.iter().map(group).collect();
        let fleet = Self {
            platform,
            endpoint: endpoint.to_owned(),
            deployment,
            groups,
            members: Vec::new(),
            tasks: JoinSet::new(),
            events,
            stop,
            failure: None,
        };
        for part in &fleet.deployment.parts {
            let model = OptMl::new(fleet.opt_ml(&part.variant.variant_name)).model();
            if let Err(reason) = unpack_model(&fleet.platform, &part.container, model).await {
                fleet.delete_models();
                return Err(reason);
            }
        }
        Ok(fleet)
    }

    /// What it is made of.
    pub(super) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// What the instances of `variant` see as `/opt/ml`.
    fn opt_ml(&self, variant: &str) -> PathBuf {
        self.platform.folder.endpoint(&self.endpoint).opt_ml(self.deployment.number, variant)
    }

    /// Wants so many instances of each variant, in their order.
    pub(super) fn want(&mut self, counts: &[u32]) {
        for (group, count) in self.groups.iter_mut().zip(counts) {
            if group.wanted != *count {
                group.wanted = *count;
                group.failures = 0;
                group.pause_until = None;
            }
        }
    }

    /// Instances of each variant that are up.
    pub(super) fn counts(&self) -> Vec<u32> {
        let up = |index: usize| self.members.iter().filter(|member| member.part == index && member.is_up()).count();
        (0..self.groups.len()).map(|index| u32::try_from(up(index)).unwrap_or(u32::MAX)).collect()
    }

    /// Whether as many are up as are wanted, and none is leaving.
    pub(super) fn is_complete(&self) -> bool {
        let settled = self.members.iter().all(Member::is_up);
        settled && self.groups.iter().zip(self.counts()).all(|(group, up)| group.wanted == up)
    }

    /// The most failures in a row that a variant has seen.
    pub(super) fn failures(&self) -> u32 {
        self.groups.iter().map(|group| group.failures).max().unwrap_or(0)
    }

    /// Its pools, of which each has `share` of the invocations of its variant, whose weights are `weights`.
    pub(super) fn pools(&self, share: f64, weights: &[f64]) -> Vec<Pool> {
        // Weights of one deployment say nothing beside those of another.
        let sum: f64 = weights.iter().sum();
        let pool = |(index, (group, weight)): (usize, (&Group, &f64))| Pool {
            variant: group.part.variant.variant_name.clone(),
            weight: if sum > 0.0 { share * weight / sum } else { 0.0 },
            backends: self.members.iter().filter(|member| member.part == index).filter_map(Member::backend).collect(),
        };
        self.groups.iter().zip(weights).enumerate().map(pool).collect()
    }

    /// Starts what is lacking and sends away what is too much.
    pub(super) fn settle(&mut self) {
        let now = Instant::now();
        for index in 0..self.groups.len() {
            let Some(group) = self.groups.get(index) else { continue };
            let (wanted, waits) = (group.wanted as usize, group.pause_until.is_some_and(|until| until > now));
            let staying = self.members.iter().filter(|member| member.part == index && member.stays()).count();
            if staying < wanted && !waits {
                for _ in staying..wanted {
                    self.launch(index);
                }
            }
            for _ in wanted..staying {
                self.send_one_away(index);
            }
        }
    }

    /// When an instance that failed may be replaced.
    pub(super) fn next_launch(&self) -> Option<Instant> {
        let now = Instant::now();
        self.groups.iter().filter_map(|group| group.pause_until).filter(|until| *until > now).min()
    }

    /// Whether the event is of this fleet.
    pub(super) fn is_of(&self, event: &Event) -> bool {
        event.deployment == self.deployment.number
    }

    /// Takes note of an event of this fleet's.
    pub(super) fn note(&mut self, event: Event) {
        let Some(at) = self.members.iter().position(|member| member.id == event.id) else { return };
        match event.fate {
            Fate::Up(port) => {
                if let Some(member) = self.members.get_mut(at).filter(|member| matches!(member.stage, Stage::Starting))
                {
                    member.stage = Stage::Up(Backend::new(port), Instant::now());
                }
            }
            Fate::Failed(why) => {
                let member = self.members.swap_remove(at);
                let Some(group) = self.groups.get_mut(member.part).filter(|_| member.stays()) else { return };
                let variant = &group.part.variant.variant_name;
                let reason = why.reason(&format!("The primary container for production variant {variant}"));
                tracing::warn!(endpoint = self.endpoint, instance = member.id, reason, "an instance failed");
                if member.was_stable() {
                    group.failures = 0;
                }
                let pause = FIRST_PAUSE * 2_u32.saturating_pow(group.failures);
                group.failures += 1;
                group.pause_until = Some(Instant::now() + pause.min(LONGEST_PAUSE));
                self.failure = Some(reason);
            }
            Fate::Gone => drop(self.members.swap_remove(at)),
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Sends all instances away, waits for their end, and deletes the models.
    pub(super) async fn disband(mut self) {
        for member in &self.members {
            member.leave.send_replace(true);
        }
        while self.tasks.join_next().await.is_some() {}
        self.delete_models();
    }

    /// The bucket has the models; a second copy only takes room.
    fn delete_models(&self) {
        for part in &self.deployment.parts {
            let _ = std::fs::remove_dir_all(OptMl::new(self.opt_ml(&part.variant.variant_name)).model());
        }
    }

    /// Instances of each variant that are wanted.
    pub(super) fn wanted(&self) -> Vec<u32> {
        self.groups.iter().map(|group| group.wanted).collect()
    }

    fn launch(&mut self, index: usize) {
        let Some(Group { part, .. }) = self.groups.get(index) else { return };
        let id = format!("i-{}", &uuid::Uuid::new_v4().simple().to_string()[..17]);
        let variant = &part.variant.variant_name;
        let folder = self.platform.folder.endpoint(&self.endpoint);
        let own = part.variant.container_startup_health_check_timeout_in_seconds;
        let spec = InstanceSpec {
            owner: self.endpoint.clone(),
            image: part.container.image.clone().unwrap_or_default(),
            opt_ml: self.opt_ml(variant),
            environment: part.container.environment.clone(),
            log: folder.log(variant, &id),
            ping_limit: own.map_or(self.platform.settings.ping_limit, Duration::from_secs),
        };
        let (created, below) = (self.platform.clock.now(), folder.log_below(variant, &id));
        let noted = self.platform.store.update(|state| {
            state.note_stream(&crate::logs::of_endpoint(&self.endpoint), format!("{variant}/{id}"), below, created);
            Ok::<_, crate::error::ApiError>(())
        });
        if let Err(error) = noted {
            tracing::error!(%error, "cannot note the log of an instance");
        }
        let (leave, told) = watch::channel(false);
        let life = Life {
            platform: Arc::clone(&self.platform),
            events: self.events.clone(),
            deployment: self.deployment.number,
            id: id.clone(),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(life.live(spec, told));
        self.members.push(Member { id, part: index, stage: Stage::Starting, leave });
    }

    /// Sends one instance away: one that is not up yet rather than one that is, and the last of those.
    fn send_one_away(&mut self, index: usize) {
        let of_group =
            || self.members.iter().enumerate().rev().filter(|(_, member)| member.part == index && member.stays());
        let starting = of_group().find(|(_, member)| matches!(member.stage, Stage::Starting));
        let Some((at, _)) = starting.or_else(|| of_group().next()) else { return };
        if let Some(member) = self.members.get_mut(at) {
            member.stage = Stage::Leaving;
            member.leave.send_replace(true);
        }
    }
}

impl Member {
    fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up(..))
    }

    /// Whether it was up for so long that its end has nothing to do with how it started.
    fn was_stable(&self) -> bool {
        matches!(self.stage, Stage::Up(_, since) if since.elapsed() > STABLE)
    }

    fn stays(&self) -> bool {
        !matches!(self.stage, Stage::Leaving)
    }

    fn backend(&self) -> Option<Arc<Backend>> {
        if let Stage::Up(backend, _) = &self.stage { Some(Arc::clone(backend)) } else { None }
    }
}

/// The task that an instance lives in.
struct Life {
    platform: Arc<Platform>,
    events: mpsc::UnboundedSender<Event>,
    deployment: u32,
    id: String,
    stop: StopSignal,
}

impl Life {
    async fn live(mut self, spec: InstanceSpec, mut told: watch::Receiver<bool>) {
        let started = tokio::select! {
            started = Instance::start(&self.platform, spec) => started,
            // What has been started by then is killed as it is dropped.
            () = leaves(&mut told) => return self.tell(Fate::Gone),
        };
        let mut instance = match started {
            Ok(instance) => instance,
            Err(why) => return self.tell(Fate::Failed(why)),
        };
        self.tell(Fate::Up(instance.port()));
        let platform = Arc::clone(&self.platform);
        tokio::select! {
            why = instance.ended(&platform) => self.tell(Fate::Failed(why)),
            () = leaves(&mut told) => {
                let grace: Grace = platform.instance_grace();
                instance.terminate(&platform, self.stop.grace(grace)).await;
                self.tell(Fate::Gone);
            }
        }
    }

    fn tell(&self, fate: Fate) {
        // A supervisor that is gone needs to hear nothing.
        let _ = self.events.send(Event { deployment: self.deployment, id: self.id.clone(), fate });
    }
}

/// Returns when the instance is told to end; a fleet that is gone means the same.
async fn leaves(told: &mut watch::Receiver<bool>) {
    let _ = told.wait_for(|leave| *leave).await;
}
