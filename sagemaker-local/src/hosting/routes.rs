//! Which process answers the next invocation.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One process of a variant.
#[derive(Debug)]
struct Instance {
    port: u16,
    outstanding: AtomicUsize,
}

/// A variant in service.
#[derive(Debug)]
struct Route {
    variant: String,
    instances: Vec<Arc<Instance>>,
}

/// Endpoints in service by name.
#[derive(Debug, Default)]
pub(crate) struct Routes(Mutex<HashMap<String, Route>>);

/// An instance that answers an invocation; counts as busy until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The name of the variant.
    pub(crate) variant: String,
    instance: Arc<Instance>,
}

impl Lease {
    /// The port that the instance listens on.
    pub(crate) fn port(&self) -> u16 {
        self.instance.port
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.instance.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Routes {
    /// Puts the endpoint `name` in service.
    pub(crate) fn insert(&self, name: &str, variant: &str, ports: &[u16]) {
        let instance = |port: &u16| Arc::new(Instance { port: *port, outstanding: AtomicUsize::new(0) });
        let route = Route { variant: variant.to_owned(), instances: ports.iter().map(instance).collect() };
        self.lock().insert(name.to_owned(), route);
    }

    /// Takes the endpoint `name` out of service.
    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The instance of `name` with the fewest invocations under way.
    pub(crate) fn lease(&self, name: &str) -> Option<Lease> {
        let routes = self.lock();
        let route = routes.get(name)?;
        let instance = route.instances.iter().min_by_key(|instance| instance.outstanding.load(Ordering::Relaxed))?;
        instance.outstanding.fetch_add(1, Ordering::Relaxed);
        Some(Lease { variant: route.variant.clone(), instance: Arc::clone(instance) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Route>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_busy_instance_is_next() {
        let routes = Routes::default();
        routes.insert("e", "v", &[1, 2]);
        let first = routes.lease("e").unwrap();
        let second = routes.lease("e").unwrap();
        assert_eq!((first.port(), second.port()), (1, 2));
        drop(second);
        assert_eq!(routes.lease("e").unwrap().port(), 2);
        routes.remove("e");
        assert!(routes.lease("e").is_none());
    }
}
