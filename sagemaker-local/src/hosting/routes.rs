//! Which process answers the next invocation.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One process of a variant.
#[derive(Debug)]
pub(crate) struct Backend {
    port: u16,
    outstanding: AtomicUsize,
}

impl Backend {
    /// The process that listens on `port`.
    pub(crate) fn new(port: u16) -> Arc<Self> {
        Arc::new(Self { port, outstanding: AtomicUsize::new(0) })
    }
}

/// Processes that share the invocations of a variant, or a part of them while a deployment shifts traffic.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    /// The name of the variant.
    pub(crate) variant: String,
    /// Its part of all invocations; what counts is its share of the sum.
    pub(crate) weight: f64,
    pub(crate) backends: Vec<Arc<Backend>>,
}

/// An endpoint in service.
#[derive(Debug, Default)]
struct Route {
    pools: Vec<Pool>,
    /// What each pool is still owed: smooth weighted round robin, as nginx does it.
    credits: Vec<f64>,
    /// How many invocations there were, to take turns among processes that are equally busy.
    turn: usize,
}

/// Endpoints in service by name.
#[derive(Debug, Default)]
pub(crate) struct Routes(Mutex<HashMap<String, Route>>);

/// An instance that answers an invocation; counts as busy until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The name of the variant.
    pub(crate) variant: String,
    backend: Arc<Backend>,
}

/// Why nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// There is no such endpoint in service.
    Endpoint,
    /// The endpoint has no such variant.
    Variant,
    /// None of its instances is up.
    Instance,
}

impl Lease {
    /// The port that the instance listens on.
    pub(crate) fn port(&self) -> u16 {
        self.backend.port
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.backend.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Routes {
    /// Has the endpoint `name` answered by `pools`.
    pub(crate) fn set(&self, name: &str, pools: Vec<Pool>) {
        let mut routes = self.lock();
        let route = routes.entry(name.to_owned()).or_default();
        if route.pools.len() != pools.len() {
            route.credits = vec![0.0; pools.len()];
        }
        route.pools = pools;
    }

    /// Takes the endpoint `name` out of service.
    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The instance of `name` with the fewest invocations under way, of the variant asked for or else of that whose turn it is.
    pub(crate) fn lease(&self, name: &str, variant: Option<&str>) -> Result<Lease, NoRoute> {
        let mut routes = self.lock();
        let route = routes.get_mut(name).ok_or(NoRoute::Endpoint)?;
        if variant.is_some_and(|wanted| route.pools.iter().all(|pool| pool.variant != wanted)) {
            return Err(NoRoute::Variant);
        }
        let pool = route.next(variant).ok_or(NoRoute::Instance)?;
        let (variant, backends) = (pool.variant.clone(), pool.backends.clone());
        route.turn = route.turn.wrapping_add(1);
        let start = route.turn.checked_rem(backends.len()).ok_or(NoRoute::Instance)?;
        let in_turn = backends.iter().cycle().skip(start).take(backends.len());
        let least = in_turn.min_by_key(|backend| backend.outstanding.load(Ordering::Relaxed));
        let backend = Arc::clone(least.ok_or(NoRoute::Instance)?);
        backend.outstanding.fetch_add(1, Ordering::Relaxed);
        Ok(Lease { variant, backend })
    }

    /// Invocations under way at the variant of the endpoint.
    pub(crate) fn outstanding(&self, name: &str, variant: &str) -> usize {
        let routes = self.lock();
        let pools = routes.get(name).map(|route| route.pools.as_slice()).unwrap_or_default();
        let backends = pools.iter().filter(|pool| pool.variant == variant).flat_map(|pool| &pool.backends);
        backends.map(|backend| backend.outstanding.load(Ordering::Relaxed)).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Route>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Route {
    /// The pool whose turn it is, among those that have an instance; where a variant is asked for, among its pools, whatever their weight.
    fn next(&mut self, variant: Option<&str>) -> Option<&Pool> {
        let wanted = |pool: &Pool| variant.map_or(pool.weight > 0.0, |variant| pool.variant == variant);
        let able = |pool: &Pool| !pool.backends.is_empty() && wanted(pool);
        let total: f64 = self.pools.iter().filter(|pool| able(pool)).map(|pool| pool.weight).sum();
        for (pool, credit) in self.pools.iter().zip(&mut self.credits).filter(|(pool, _)| able(pool)) {
            *credit += if total > 0.0 { pool.weight / total } else { 1.0 };
        }
        let owed = self.pools.iter().zip(&mut self.credits).filter(|(pool, _)| able(pool));
        // The first of those that are owed the same.
        let (pool, credit) = owed.reduce(|best, other| if *other.1 > *best.1 { other } else { best })?;
        *credit -= 1.0;
        Some(pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(variant: &str, weight: f64, ports: &[u16]) -> Pool {
        Pool { variant: variant.to_owned(), weight, backends: ports.iter().map(|port| Backend::new(*port)).collect() }
    }

    #[test]
    fn the_least_busy_instance_is_next() {
        let routes = Routes::default();
        routes.set("e", vec![pool("v", 1.0, &[1, 2])]);
        let ports = |leases: &[&Lease]| leases.iter().map(|lease| lease.port()).collect::<Vec<_>>();
        let (first, second) = (routes.lease("e", None).unwrap(), routes.lease("e", None).unwrap());
        assert_ne!(first.port(), second.port());
        let free = second.port();
        assert_eq!(routes.outstanding("e", "v"), 2);
        drop(second);
        let third = routes.lease("e", None).unwrap();
        assert_eq!(ports(&[&third]), [free]);
        routes.remove("e");
        assert_eq!(routes.lease("e", None).unwrap_err(), NoRoute::Endpoint);
    }

    #[test]
    fn instances_that_are_equally_busy_take_turns() {
        let routes = Routes::default();
        routes.set("e", vec![pool("v", 1.0, &[1, 2, 3])]);
        let mut ports: Vec<u16> = (0..3).map(|_| routes.lease("e", None).unwrap().port()).collect();
        ports.sort_unstable();
        assert_eq!(ports, [1, 2, 3]);
    }

    #[test]
    fn variants_get_their_share_and_one_can_be_asked_for() {
        let routes = Routes::default();
        routes
            .set("e", vec![pool("a", 3.0, &[1]), pool("b", 1.0, &[2]), pool("off", 0.0, &[3]), pool("down", 9.0, &[])]);
        let asked: Vec<String> = (0..8).map(|_| routes.lease("e", None).unwrap().variant.clone()).collect();
        assert_eq!(asked.iter().filter(|variant| *variant == "a").count(), 6, "{asked:?}");
        assert_eq!(asked.iter().filter(|variant| *variant == "b").count(), 2, "{asked:?}");
        assert_eq!(routes.lease("e", Some("off")).unwrap().port(), 3);
        assert_eq!(routes.lease("e", Some("down")).unwrap_err(), NoRoute::Instance);
        assert_eq!(routes.lease("e", Some("other")).unwrap_err(), NoRoute::Variant);
    }
}
